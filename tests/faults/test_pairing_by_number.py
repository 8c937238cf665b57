"""Pairing by number: numbers of one meaning only; a file numbered like one clip never serves the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from toraeval.inputs import own_paths
from toraeval.inputs.pairing import pair_names
from toraeval.types import UserError


@pytest.mark.parametrize(
    ("clips", "paths", "right"),
    [
        (["video_1", "video_2", "video_10"], ["traj_01", "traj_10", "traj_02"], ["traj_01", "traj_02", "traj_10"]),
        (["0001", "0002"], ["2", "1"], ["1", "2"]),
        (["clip_00_512", "clip_01_512"], ["path_512_01", "path_512_00"], ["path_512_00", "path_512_01"]),
        (["seed1_prompt2", "seed2_prompt1"], ["prompt1_seed2", "prompt2_seed1"], ["prompt2_seed1", "prompt1_seed2"]),
        (["s3 (p4)", "s4 (p3)"], ["S04_P03", "S03_P04"], ["S03_P04", "S04_P03"]),
        (["cfg7.0", "cfg7.5"], ["scale_7.5", "scale_7.0"], ["scale_7.0", "scale_7.5"]),
    ],
)  # fmt: skip
def test_numbers_that_mean_the_same_pair(clips: list[str], paths: list[str], right: list[str]) -> None:
    assert [pair_names(clips, paths).partner[clip] for clip in clips] == right


@pytest.mark.parametrize(
    ("clips", "paths"),
    [
        (["2024-01-02", "2024-02-01"], ["01.02.2024", "02.01.2024"]),  # day and month
        (["cfg7.0", "cfg7.5"], ["traj0", "traj5"]),  # the numbers are 7.0 and 7.5
        (["1_2", "2_1"], ["2x1", "1x2"]),
        (["video_0", "video_1"], ["traj_1", "traj_2"]),
        (["seed1_prompt2", "seed2_prompt1"], ["a1_b2", "a2_b1"]),
    ],
)
def test_numbers_that_may_mean_something_else_pair_nothing(clips: list[str], paths: list[str]) -> None:
    assert not pair_names(clips, paths).partner


def test_one_path_file_with_the_number_of_one_clip_serves_all_only_if_asked(tmp_path: Path) -> None:
    file = tmp_path / "traj_02.txt"
    file.write_text("1,1\n2,2\n")
    clips = ["video_1", "video_2", "video_3"]
    with pytest.raises(UserError, match=r"traj_02 has the number of the clip video_2.*trajectories=all:"):
        own_paths.match(clips, str(file))
    assert set(own_paths.match(clips, f"all:{file}").pairs) == set(clips)


def test_one_path_file_with_another_number_serves_all(tmp_path: Path) -> None:
    file = tmp_path / "path_512.txt"
    file.write_text("1,1\n2,2\n")
    assert len(own_paths.match(["video_1", "video_2"], str(file)).pairs) == 2
