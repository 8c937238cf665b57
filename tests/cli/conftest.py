"""The command line in this process, over tiny parts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from toraeval.__main__ import main


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
