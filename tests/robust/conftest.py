"""Undisturbed results to compare with, one for each number of workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.robust.small_bench")

from tests.robust import small_bench  # noqa: E402

Whole = Callable[[int], dict[str, object]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each number of workers that `--bench-workers` names."""
    if "workers" in metafunc.fixturenames:
        numbers = str(metafunc.config.getoption("--bench-workers")).split(",")
        metafunc.parametrize("workers", [int(number) for number in numbers])


@pytest.fixture(scope="session", autouse=True)
def _overlap(request: pytest.FixtureRequest) -> None:
    small_bench.OVERLAP = str(request.config.getoption("--bench-overlap"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What an undisturbed bench with so many workers leaves, by file."""
    made: dict[int, dict[str, object]] = {}

    def of(workers: int) -> dict[str, object]:
        if workers not in made:
            results = tmp_path_factory.mktemp("whole") / "results"
            small_bench.finish(results, workers)
            made[workers] = small_bench.files(results)
        return made[workers]

    return of


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder that is not there yet; its name is that of the undisturbed one."""
    return tmp_path / "results"
