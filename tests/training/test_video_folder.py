"""Clips out of a folder of videos: layouts, cuts, sizes, flow, and files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.training.data.video_folder import CutRules, VideoFolder
from toraeval.types import UserError, Video
from toraeval.video import write_lossless

FRAMES, HEIGHT, WIDTH = 12, 48, 80


def numbered(frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Frames whose grey level is ten times their number, with a horizontal ramp in the blue channel."""
    video = np.zeros((frames, height, width, 3), np.uint8)
    video[..., 0] = 10 * np.arange(frames)[:, None, None]
    video[..., 2] = np.linspace(0, 200, width).astype(np.uint8)
    return video


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos of 12 and 7 frames at 24 frames per second, in the layout of Tora."""
    (tmp_path / "labels").mkdir()
    for name, frames in (("a", FRAMES), ("b", 7)):
        write_lossless(Video.from_thwc(numbered(frames), 24.0), tmp_path / "videos" / f"{name}.mkv")
        (tmp_path / "labels" / f"{name}.txt").write_text(f"clip {name}\nsecond line\n")
    return tmp_path


def numbers(clip_TCHW: np.ndarray) -> list[int]:
    return (clip_TCHW[:, 0].mean((1, 2)) / 10).round().astype(int).tolist()


def test_tora_layout(folder: Path) -> None:
    source = VideoFolder(folder, None)
    assert len(source.entries) == 2
    assert source.captions == ["clip a", "clip b"]
    assert source.sizes == [(12, 48, 80), (7, 48, 80)]
    clip = source.clip(1, 7, HEIGHT, WIDTH, draws())
    assert clip.caption == "clip b"
    assert clip.fps == 24.0
    assert clip.flow_THW2 is None
    assert np.array_equal(clip.video_TCHW, numbered(7).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_layouts(folder: Path, kind: str) -> None:
    rows = [
        {"path": "videos/b.mkv", "caption": "a cat, walking"},
        {"path": "videos/none.mkv", "caption": "x"},
    ]
    if kind == "csv":
        (folder / "metadata.csv").write_text(
            'path,caption\nvideos/b.mkv,"a cat, walking"\nvideos/none.mkv,x\n', encoding="utf-8"
        )
    else:
        (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    source = VideoFolder(folder, None)
    assert source.captions == ["a cat, walking"]
    assert [(file.name, "no such video" in reason) for file, reason in source.skipped] == [("none.mkv", True)]


def test_starts_are_drawn_and_reproducible(folder: Path) -> None:
    source = VideoFolder(folder, None)
    starts = {numbers(source.clip(0, 10, 16, 16, draws(seed)).video_TCHW)[0] for seed in range(8)}
    assert starts == set(range(3))
    one, two = (source.clip(0, 5, 16, 16, draws(3)).video_TCHW for _ in range(2))
    assert np.array_equal(one, two)


def test_interval_rate_and_skipped_ends(folder: Path) -> None:
    source = VideoFolder(folder, None, CutRules(frame_interval=2, skip_first=1, skip_last=3))
    assert source.sizes[0].frames == 4  # frames 1 to 8
    cuts = {tuple(numbers(source.clip(0, 4, 16, 16, draws(s)).video_TCHW)) for s in range(6)}
    assert cuts == {(1, 3, 5, 7), (2, 4, 6, 8)}
    slow = VideoFolder(folder, None, CutRules(fps=8.0)).clip(0, 4, 16, 16, draws())
    assert slow.fps == 8.0
    assert np.diff(numbers(slow.video_TCHW)).tolist() == [3, 3, 3]


def test_short_videos_are_refused_or_their_end_repeated(folder: Path) -> None:
    with pytest.raises(UserError, match=r"b\.mkv: 7 frames give clips of up to 7, not 9; .*short=repeat"):
        VideoFolder(folder, None).clip(1, 9, 16, 16, draws())
    source = VideoFolder(folder, "dis", CutRules(short="repeat"))
    clip = source.clip(1, 9, 32, 32, draws())
    assert numbers(clip.video_TCHW) == [0, 1, 2, 3, 4, 5, 6, 6, 6]
    assert clip.flow_THW2 is not None
    assert clip.flow_THW2.shape == (9, 32, 32, 2)


@pytest.mark.parametrize("resize", ["area", "bicubic"])
def test_pictures_are_covered_and_cropped_at_the_centre(folder: Path, resize: str) -> None:
    source = VideoFolder(folder, None, CutRules(resize=resize))
    clip = source.clip(0, 1, 24, 24, draws())  # 80x48 -> 40x24 -> columns 8 to 31
    ramp = clip.video_TCHW[0, 2].mean(0)
    expected = np.linspace(0, 200, WIDTH).reshape(-1, 2).mean(1)[8:32]
    np.testing.assert_allclose(ramp, expected, atol=2.5)


def test_estimated_flow_has_a_zero_frame_in_front_and_is_kept(folder: Path, tmp_path: Path) -> None:
    source = VideoFolder(folder, "dis", flow_cache=tmp_path / "flow", preset="fast")
    clip = source.clip(0, 3, 32, 48, draws())
    assert clip.flow_THW2 is not None
    assert clip.flow_THW2.shape == (3, 32, 48, 2)
    assert not clip.flow_THW2[0].any()
    assert len(list((tmp_path / "flow").rglob("*.npy"))) == 1
    facts = source.fingerprint()
    assert facts["flow"] == "dis"
    assert facts["flow_version"].endswith("-fast")
    assert not VideoFolder(folder, "dis").clip(0, 1, 32, 32, draws()).flow_THW2.any()


def test_given_flow_is_cut_scaled_and_cropped_with_the_video(folder: Path) -> None:
    stored = np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2), np.float16)
    stored[..., 0] = np.arange(FRAMES - 1)[:, None, None]
    stored[..., 1] = np.arange(WIDTH)
    np.save(folder / "videos" / "a.npy", stored)
    source = VideoFolder(folder, "given")
    clip = source.clip(0, 5, 24, 24, draws(1))
    start = numbers(clip.video_TCHW)[0]
    assert clip.flow_THW2 is not None
    assert clip.flow_THW2[1:, 5, 5, 0].tolist() == [(start + t) / 2 for t in range(4)]
    assert clip.flow_THW2[1, 0, 0, 1] == pytest.approx((2 * 8 + 0.5) / 2)
    with pytest.raises(UserError, match=r"b\.mkv: no flow beside it"):
        source.clip(1, 5, 24, 24, draws())
    np.save(folder / "videos" / "b.npy", stored)
    with pytest.raises(UserError, match=r"beside 7 frames of 80x48; allowed: \(6, 48, 80, 2\)"):
        source.clip(1, 5, 24, 24, draws())


def test_unusable_files_are_listed_with_reasons(folder: Path) -> None:
    (folder / "videos" / "broken.mp4").write_bytes(b"no video")
    (folder / "videos" / "empty.mp4").touch()
    (folder / "labels" / "broken.txt").write_text("x")
    (folder / "labels" / "empty.txt").write_text("x")
    write_lossless(Video.from_thwc(numbered(2), 24.0), folder / "videos" / "mute.mkv")
    source = VideoFolder(folder, None)
    assert len(source.entries) == 2
    reasons = {file.name: reason for file, reason in source.skipped}
    assert set(reasons) == {"broken.mp4", "empty.mp4", "mute.mkv"}
    assert "no caption" in reasons["mute.mkv"]
    assert "empty" in reasons["empty.mp4"]


def test_a_folder_without_usable_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        VideoFolder(tmp_path / "absent")
    with pytest.raises(UserError, match=r"unknown layout; allowed: videos/\*\.mp4"):
        VideoFolder(tmp_path)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no usable video among 1; the first: .*a\.mp4: no caption"):
        VideoFolder(tmp_path)
    (tmp_path / "metadata.jsonl").write_text('{"path": "a.mp4"}')
    with pytest.raises(UserError, match=r"metadata\.jsonl:1: has no path and caption"):
        VideoFolder(tmp_path)
    (tmp_path / "metadata.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"metadata\.jsonl:1: not JSON"):
        VideoFolder(tmp_path)


def test_fingerprint_follows_files_captions_and_rules(folder: Path) -> None:
    prints = [
        VideoFolder(folder, None).fingerprint(),
        VideoFolder(folder, None, CutRules(skip_first=1)).fingerprint(),
    ]
    (folder / "labels" / "a.txt").write_text("another caption")
    prints.append(VideoFolder(folder, None).fingerprint())
    assert len({json.dumps(p) for p in prints}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_interval": 0}, "frame_interval=0; allowed: at least 1"),
        ({"skip_last": -1}, "skip_last=-1; allowed: at least 0"),
        ({"fps": 0.0}, "fps=0.0; allowed: more than 0"),
        ({"resize": "nearest"}, "allowed: area, bicubic"),
        ({"short": "skip"}, "allowed: refuse, repeat"),
    ],
)
def test_wrong_rules_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CutRules(**options)


def test_wrong_estimators_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="unknown flow estimator 'dix'"):
        VideoFolder(folder, "dix")
    with pytest.raises(UserError, match="given fits neighbouring frames only"):
        VideoFolder(folder, "given", CutRules(frame_interval=2))
