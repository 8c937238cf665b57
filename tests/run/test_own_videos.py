from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.fake_parts import config, draw
from toraeval.run import pipeline
from toraeval.run.own_videos import plan_score
from toraeval.types import UserError, Video
from toraeval.video import write_lossless

pytestmark = pytest.mark.usefixtures("fakes")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Three clips of different length and size with text paths on the 256 canvas, named alike."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "paths").mkdir()
    for name, frames, side in (("walk", 6, 64), ("run", 9, 96), ("jump", 7, 64)):
        track = np.stack([np.linspace(10, 40, frames).round(), np.full(frames, 20.0)], axis=-1)
        write_lossless(Video.from_thwc(draw(track, side), 10.0), tmp_path / "videos" / f"{name}.mkv")
        scale = 255 / (side - 1)
        lines = [f"{x * scale:.6f},{y * scale:.6f}" for x, y in track]
        (tmp_path / "paths" / f"{name}.txt").write_text("\n".join(lines))
    return tmp_path


def score(own: Path, **changes: Any) -> pipeline.Report:
    options = {
        "videos": str(own / "videos"),
        "trajectories": str(own / "paths"),
        "label": None,
        "canvas": None,
        "align": "resample",
    }
    plain = {**config(own / "results"), **options, **changes}
    for unused in ("model", "suite", "frames", "height", "width", "seeds", "samples", "floor"):
        plain.pop(unused)
    return pipeline.run(plan_score(plain), command="test")


def test_own_videos_keep_their_length_size_and_rate(own: Path) -> None:
    report = score(own)
    rows = report.result.cases.set_index("sample")
    assert rows.loc["run", ["frames", "height", "width", "fps"]].tolist() == [9, 96, 96, 10.0]
    assert rows["traj_error"].max() < 0.5
    assert rows["model"].unique().tolist() == ["videos"]
    assert score(own).computed == 0


def test_a_replaced_video_is_scored_again_and_no_other(own: Path) -> None:
    score(own)
    track = np.full((6, 2), 20.0)
    write_lossless(Video.from_thwc(draw(track), 10.0), own / "videos" / "walk.mkv")
    assert [outcome.sample for outcome in score(own).outcomes] == ["walk"]


def test_single_files_work(own: Path) -> None:
    report = score(own, videos=str(own / "videos" / "run.mkv"), trajectories=str(own / "paths" / "jump.txt"))
    assert report.result.cases["sample"].tolist() == ["run"]
    assert report.result.cases["tag_align"].tolist() == ["resampled"]


def test_order_never_pairs(own: Path) -> None:
    for index, path in enumerate(sorted((own / "videos").iterdir())):
        path.rename(path.with_name(f"clip{index}.mkv"))
    words = r"Clips without paths: clip0, clip1, clip2\. Paths without clip: jump, run, walk\. .*all:FILE"
    with pytest.raises(UserError, match=words):
        score(own)


def test_some_names_that_fit_and_some_that_do_not_are_refused(own: Path) -> None:
    (own / "videos" / "walk.mkv").rename(own / "videos" / "wlak.mkv")
    with pytest.raises(UserError, match=r"Clips without paths: wlak\. Paths without clip: walk\."):
        score(own)


def test_cut_pairs_point_and_frame(own: Path) -> None:
    (own / "paths" / "walk.txt").write_text("\n".join(["40.476190,80.952381"] * 4))
    rows = score(own, align="cut").result.cases.set_index("sample")
    assert rows.loc["walk", ["frames", "length_mode", "tag_align"]].tolist() == [4, "cut", "cut"]


def test_numpy_paths_are_pixels_of_the_video(own: Path) -> None:
    track = np.stack([np.linspace(10, 40, 6).round(), np.full(6, 20.0)], axis=-1)
    np.savez(own / "one.npz", tracks=track[None])
    one = score(own, videos=str(own / "videos" / "walk.mkv"), trajectories=str(own / "one.npz"))
    assert one.result.cases["traj_error"].tolist() == [0.0]


def test_one_damaged_video_is_a_failure_row(own: Path) -> None:
    whole = (own / "videos" / "run.mkv").read_bytes()
    (own / "videos" / "run.mkv").write_bytes(whole[: len(whole) // 2])
    report = score(own)
    rows = report.result.cases.set_index("sample")
    assert rows["status"].tolist() == ["ok", "failed", "ok"]
    assert "run.mkv" in rows.loc["run", "error"]
    assert report.exit_code == 1


def test_only_damaged_videos_are_failed_cases_too(own: Path) -> None:
    (own / "videos" / "run.mkv").write_bytes(b"no video")
    report = score(own, videos=str(own / "videos" / "run.mkv"), trajectories=str(own / "paths" / "run.txt"))
    assert report.exit_code == 1


def test_native_cases_bring_their_prompts(own: Path) -> None:
    path = [[10.0, 20.0], [40.0, 20.0]]
    cases = [
        {"id": name, "canvas": [64, 64], "prompt": f"a {name}", "tracks": [{"points": path}]}
        for name in ("walk", "jump")
    ]
    from toraeval.trajectories import NativeCase, write_native
    from toraeval.types import Trajectories

    native = [
        NativeCase(c["id"], Trajectories(np.array([path]), np.ones((1, 2), bool), (64, 64)), c["prompt"])
        for c in cases
    ]
    write_native(own / "paths.json", native)
    (own / "videos" / "run.mkv").unlink()
    report = score(own, trajectories=str(own / "paths.json"))
    assert report.result.record["prompts_sent"] == {"jump": "a jump", "walk": "a walk"}
    assert isinstance(report.result.cases, pd.DataFrame)
    assert json.loads((own / "paths.json").read_text())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"videos": "nowhere"}, "videos=nowhere: no such file or folder"),
        ({"trajectories": "nowhere"}, "trajectories=nowhere: no such file or folder"),
        ({"align": "stretch"}, "unknown value of align 'stretch'"),
        ({"limit": 0}, "limit=0"),
    ],
)
def test_wrong_arguments(own: Path, changes: dict[str, Any], error: str) -> None:
    with pytest.raises(UserError, match=error):
        score(own, **changes)


@pytest.mark.parametrize(
    ("frames", "side", "cures"),
    [
        (6, 32, ["bring the reference to 64x64"]),
        (8, 64, ["give align=cut, which takes its first 6 frames"]),
        (3, 32, ["bring the reference to 64x64", "and give both the same length"]),
    ],
)
def test_a_reference_of_another_size_or_length_is_the_reason_of_every_metric_that_compares(
    own: Path, frames: int, side: int, cures: list[str]
) -> None:
    (own / "real").mkdir()
    other = Video.from_thwc(np.zeros((frames, side, side, 3), np.uint8), 8.0)
    write_lossless(other, own / "real" / "walk.mkv")
    one = {"videos": str(own / "videos" / "walk.mkv"), "trajectories": str(own / "paths" / "walk.txt")}
    metrics = {name: {"name": name} for name in ("psnr", "ssim")}
    report = score(own, **one, references=str(own / "real"), metrics=metrics)
    (stored,) = report.result.run_dir.glob("cases/*/score.json")
    (reason,) = {found["skipped"] for found in json.loads(stored.read_text())["metrics"].values()}
    assert f"walk.mkv has {frames} frames of {side}x{side}, the clip 6 of 64x64" in reason
    assert all(words in reason for words in cures)
    (note,) = [note for note in report.result.record["notes"] if reason in note]
    assert (side == 64) == ("-vf scale=64:64 -c:v ffv1 walk_resized.mkv" not in note)


def test_why_a_reference_cannot_be_read_is_noted(own: Path) -> None:
    (own / "real").mkdir()
    (own / "real" / "walk.mkv").write_bytes(b"no clip")
    one = {"videos": str(own / "videos" / "walk.mkv"), "trajectories": str(own / "paths" / "walk.txt")}
    report = score(own, **one, references=str(own / "real"), metrics={"psnr": {"name": "psnr"}})
    (note,) = [note for note in report.result.record["notes"] if "cannot be read" in note]
    assert f"{own / 'real' / 'walk.mkv'}: " in note


def test_one_reference_that_is_no_clip_is_refused_at_once(own: Path) -> None:
    (own / "real.mkv").write_bytes(b"no clip")
    with pytest.raises(UserError, match=r"references: .*real\.mkv: not a readable video"):
        score(own, references=str(own / "real.mkv"))
