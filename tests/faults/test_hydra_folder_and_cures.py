"""Hydra's own files never follow a link out of the results, and a printed command can be pasted whatever the names."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from toraeval import load_results
from toraeval.cli import bench, score
from toraeval.cli.jobs import launch
from toraeval.run.bench import recorded
from toraeval.types import UserError


@pytest.mark.parametrize("verb", ["bench", "score"])
def test_settings_are_not_written_through_a_link(tmp_path: Path, verb: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "runs" / ".hydra").symlink_to(outside)
    given = [f"results={tmp_path / 'results'}"]
    if verb == "score":
        given += [f"videos={tmp_path}", f"trajectories={tmp_path}"]
    with pytest.raises(UserError, match=r"\.hydra is a link to .*outside"):
        launch(verb, "", given, (bench if verb == "bench" else score).execute)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("read", [recorded, load_results])
def test_a_printed_cure_can_be_pasted(tmp_path: Path, read: object) -> None:
    folder = tmp_path / "it's; $x (v2) & more"
    folder.mkdir()
    with pytest.raises(UserError) as caught:
        read(folder)  # type: ignore[operator]
    command = str(caught.value).partition("python -m toraeval")[2]
    assert shlex.split(command)[1] == f"results={folder}"
