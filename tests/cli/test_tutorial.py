"""The tutorial pages: their files, saved as they say, and their commands run."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Cli = Callable[..., Any]
DOCS = Path(__file__).resolve().parents[2] / "docs"
SMALL = (
    "frames=8",
    "height=64",
    "width=64",
    "metric=[traj_error]",
    "tracker=lucas_kanade",
    "results=results",
)
pytestmark = pytest.mark.timeout(300)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


def runs(page: str) -> list[list[str]]:
    """Return the words of the page's `run` commands, smaller than stated."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines() if "toraeval run" in line]
    words = [shlex.split(line.partition(" #")[0])[3:] for line in lines]
    return [[w for w in one if not re.match(r"(frames|height|width|limit)=", w)] for one in words]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("my_model", "my_suite"):
        sys.modules.pop(name, None)


def errors(place: Path, model: str) -> list[float]:
    folders = (place / "results" / "runs").glob(f"*/{model}/*")
    tables = sorted((folder / "cases.csv" for folder in folders), key=lambda path: path.stat().st_mtime)
    return [float(pd.read_csv(table)["traj_error"].mean()) for table in tables]


def test_own_model(cli: Cli, place: Path) -> None:
    (code,) = blocks("own_model.md", "python")
    assert len(code.splitlines()) <= 30
    (place / "my_model.py").write_text(code)
    commands = runs("own_model.md")
    assert len(commands) == 2
    for command in commands:
        assert cli(*command, *SMALL, "limit=2").code == 0
    whole, half = errors(place, "shifter")
    assert whole < 1 < half


def test_own_suite_of_files_and_of_a_class(cli: Cli, place: Path) -> None:
    (path,), (picture, code) = blocks("own_suite.md", "json"), blocks("own_suite.md", "python")
    (place / "cases").mkdir()
    (place / "cases" / "rise.json").write_text(json.dumps(json.loads(path)))
    exec(compile(picture, "own_suite.md", "exec"), {})
    (place / "my_suite.py").write_text(code)
    assert "nothing is missing" in cli("validate", "suite=folder", "suite.path=cases").out
    commands = runs("own_suite.md")
    assert len(commands) == 2
    for command in commands:
        assert cli(*command, *SMALL).code == 0
    assert len(errors(place, "static")) == 2
    assert all(error > 5 for error in errors(place, "static"))  # nothing moves
