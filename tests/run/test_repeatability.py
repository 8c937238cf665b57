"""Scores are the same to the last bit however the work is cut: order, portions, processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_parts import config, registered
from toraeval import registry
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
from toraeval.store.sealed import read_json
from toraeval.store.slot import SET_SCORES
from toraeval.types import MissingAsset

FRAMES, SEEDS = 20, [0, 1]


# fewer frames, videos and resamples make nothing less exact
QUICK: dict[str, dict[str, Any]] = {
    "fvd": {"backbone": "random", "min_videos": 4},
    "jedi": {"backbone": "random", "min_videos": 4},
    "fid": {"max_frames": 2, "min_videos": 4, "resamples": 4},
    "class_kept": {"max_frames": 2},
}


def metrics() -> dict[str, dict[str, Any]]:
    """Return every registered metric whose weights are here, and the Frechet distance with random ones."""
    chosen: dict[str, dict[str, Any]] = {}
    for name in registry.names("metric"):
        options = {"name": name, **QUICK.get(name, {})}
        try:
            registry.build("metric", options).fingerprint()
        except MissingAsset:
            continue
        chosen[name] = options
    return chosen


pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # whole runs on a busy machine


@pytest.fixture(autouse=True, scope="module")
def parts() -> Iterator[None]:
    with registered():
        yield


def scores(results: Path, *portions: int | None, **changes: Any) -> dict[str, Any]:
    """Run in portions of so many cases and return every stored value, of samples and of the set."""
    for limit in portions:
        options = config(
            results, metrics=metrics(), limit=limit, **{"frames": FRAMES, "seeds": SEEDS} | changes
        )
        report = pipeline.run(plan_run(options), command="test")
        assert report.exit_code == 0, report.outcomes
    folder = report.result.run_dir
    stored = {file.parent.name: read_json(file) for file in sorted(folder.glob("cases/*/score.json"))}
    assert len(stored) == 3 * len(SEEDS)
    values = {
        (sample, name): (entry["values"], entry["skipped"])
        for sample, found in stored.items()
        if found is not None
        for name, entry in found["metrics"].items()
    }
    pooled = {name: (e["values"], e["skipped"]) for name, e in (read_json(folder / SET_SCORES) or {}).items()}
    return {"samples": values, "set": pooled}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = scores(tmp_path_factory.mktemp("usual"), None)
    assert len({name for _, name in found["samples"]}) >= 17
    assert any(values for values, _ in found["set"].values())
    return found


@pytest.mark.parametrize(
    ("portions", "changes"),
    [
        ((1, 2, None), {}),
        ((None,), {"workers": 2}),
        ((None,), {"suite": {"name": "fake_suite", "backwards": True}, "seeds": SEEDS[::-1]}),
    ],
    ids=["portions", "two workers", "cases and seeds backwards"],
)
def test_scores_are_equal_to_the_last_bit(
    tmp_path: Path, usual: dict[str, Any], portions: tuple[int | None, ...], changes: dict[str, Any]
) -> None:
    found = scores(tmp_path, *portions, **changes)
    assert found == usual
