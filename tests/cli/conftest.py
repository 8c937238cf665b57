"""The command line in this process, over tiny parts."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from toraeval.__main__ import main
from toraeval.cli import composing


@dataclass
class Ran:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fakes: None
) -> Iterator[Callable[..., Ran]]:
    """Run a verb in an empty folder with the fake parts registered."""
    store = dict(ConfigStore.instance().repo)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["toraeval"])

    def run(*argv: str) -> Ran:
        capsys.readouterr()
        try:
            code = main(list(argv))
        except SystemExit as stop:  # Hydra's own --help and --cfg
            code = stop.code if isinstance(stop.code, int) else 0
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    yield run
    GlobalHydra.instance().clear()
    ConfigStore.instance().repo = store


PARTS = ("suite=fake_suite", "tracker=fake_tracker", "height=64", "width=64")
FAKE = (*PARTS, "metric=[traj_error]", "frames=8")


@pytest.fixture
def fake() -> tuple[str, ...]:
    """Overrides that choose the fake parts, their size and one metric, the fastest; a model comes on top."""
    return FAKE


@pytest.fixture(scope="module")
def compositions() -> dict[tuple[str, ...], Any]:
    """What `composed_once` has composed for the tests of one module."""
    return {}


@pytest.fixture
def composed_once(compositions: dict[tuple[str, ...], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose each choice of parts once: commands differ mostly in values, which are put in on top."""
    compose = composing.compose

    def remembered(verb: str, overrides: list[str], **options: Any) -> Any:
        key = (verb, *overrides)
        if key not in compositions:
            compositions[key] = compose(verb, overrides=overrides, **options)
        return copy.deepcopy(compositions[key])

    monkeypatch.setattr(composing, "compose", remembered)
