"""Own clips of one name but of another size or length: their pixel errors never share a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fake_parts import draw
from toraeval.report.collect import collect
from toraeval.report.compare import find_pairs
from toraeval.run import pipeline
from toraeval.run.own_videos import plan_score
from toraeval.types import UserError, Video
from toraeval.video import write_lossless

PATH_T2 = np.stack([np.linspace(10, 40, 8), np.linspace(12, 40, 8)], axis=-1)


pytestmark = pytest.mark.usefixtures("fakes")


def score(tmp_path: Path, label: str, frames: int = 8, step: int = 1) -> Path:
    folder = tmp_path / label
    folder.mkdir()
    pictures = draw(PATH_T2[:frames])[:, ::step, ::step]
    write_lossless(Video.from_thwc(pictures, 8.0), folder / "walk.mkv")
    paths = tmp_path / "walk.json"
    case = {"id": "walk", "canvas": [64, 64], "points": [PATH_T2.tolist()]}
    paths.write_text(json.dumps({"format": "toraeval-trajectories", "version": 1, "cases": [case]}))
    config: dict[str, Any] = {
        "videos": str(folder), "trajectories": str(paths), "label": label, "align": "resample",
        "tracker": {"name": "fake_tracker"}, "metrics": {"traj_error": {"name": "traj_error"}},
        "stages": ["generate", "track", "score"], "keep": "none", "workers": 1, "fail_fast": False,
        "dry_run": False, "results": str(tmp_path / "results"),
    }  # fmt: skip
    report = pipeline.run(plan_score(config), command="test")
    assert not report.result.num_failed, report.result.cases["error"].tolist()
    return report.result.run_dir


@pytest.mark.parametrize("other", [{"step": 2}, {"frames": 5}])
def test_clips_of_another_size_or_length_are_not_compared(tmp_path: Path, other: dict[str, int]) -> None:
    runs = [score(tmp_path, "ours"), score(tmp_path, "theirs", **other)]
    (pair,) = find_pairs(str(runs[0]), str(runs[1]), tmp_path / "results", {})
    assert len(pair.problems) == 1
    assert pair.problems[0].startswith("walk has 8 frames of 64x64 against ")
    with pytest.raises(UserError, match="cannot share a table: walk has 8 frames of 64x64 against "):
        collect(runs)


def test_equal_clips_are_compared(tmp_path: Path) -> None:
    runs = [score(tmp_path, "ours"), score(tmp_path, "theirs")]
    (pair,) = find_pairs(str(runs[0]), str(runs[1]), tmp_path / "results", {})
    assert pair.problems == ()
    assert len(collect(runs)) == 1
