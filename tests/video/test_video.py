"""Lossless and preview video files, and everything that can be wrong with a video file."""

from __future__ import annotations

import errno
import io
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from toraeval.types import UserError, Video
from toraeval.video import (
    VideoFacts,
    VideoProbe,
    measure_video,
    probe_video,
    read_frames,
    read_video,
    video_sha256,
    write_lossless,
    write_preview,
    writing,
)


def noise(frames: int = 6, height: int = 48, width: int = 64, fps: float = 8.0, seed: int = 0) -> Video:
    rng = np.random.default_rng(seed)
    return Video.from_thwc(rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8), fps)


def smooth(frames: int = 12, height: int = 64, width: int = 96, fps: float = 8.0) -> Video:
    y, x = np.mgrid[:height, :width]
    clip = [np.stack([x * 2 + t, y * 3, x + y], -1) % 200 for t in range(frames)]
    return Video.from_thwc(np.stack(clip).astype(np.uint8), fps)


def encode(path: Path, frames_THWC: np.ndarray, times: list[int], rate: int = 10, rotation: int = 0) -> None:
    """Write an H.264 MP4 with the given time stamps (in units of 1/1000 s)."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for frame, time in zip(frames_THWC, times, strict=True):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("fps", [1, 7.3, 8, 30000 / 1001, 60, 400])
@pytest.mark.parametrize("shape", [(5, 33, 47), (1, 1, 1), (3, 2, 2), (16, 64, 17)])
def test_lossless_is_exact(tmp_path: Path, fps: float, shape: tuple[int, int, int]) -> None:
    video = noise(*shape, fps=fps)
    again = read_video(write_lossless(video, tmp_path / "a.mkv"))
    np.testing.assert_array_equal(again.thwc, video.thwc)
    assert again.fps == fps
    assert again.info["variable_frame_rate"] is False
    assert video_sha256(again) == video_sha256(video)


def test_equal_clips_give_equal_files(tmp_path: Path) -> None:
    video = smooth()
    for name in ("a", "b"):
        write_lossless(video, tmp_path / f"{name}.mkv")
        write_preview(video, tmp_path / f"{name}.mp4")
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("size", "padded"), [((64, 96), [0, 0]), ((63, 95), [1, 1]), ((64, 95), [1, 0]), ((1, 1), [1, 1])]
)
def test_preview_plays_and_pads_odd_sizes(tmp_path: Path, size: tuple[int, int], padded: list[int]) -> None:
    video = smooth(12, *size)
    facts = write_preview(video, tmp_path / "a.mp4")
    assert facts == {"width": size[1] + padded[0], "height": size[0] + padded[1], "padded": padded}
    again = read_video(tmp_path / "a.mp4")
    assert (again.num_frames, again.height, again.width, again.fps) == (
        12,
        facts["height"],
        facts["width"],
        8.0,
    )
    assert again.info["pixel_format"] == "yuv420p"
    assert np.abs(again.thwc[:, : size[0], : size[1]].astype(int) - video.thwc).mean() < 8


def test_some_frames_are_those_of_the_whole_clip(tmp_path: Path) -> None:
    clip = smooth()
    write_preview(clip, tmp_path / "a.mp4")
    write_lossless(clip, tmp_path / "a.mkv")
    for name in ("a.mp4", "a.mkv"):
        frames, count = read_frames(tmp_path / name, [0, 5, 11, 40])
        assert count == clip.num_frames
        np.testing.assert_array_equal(frames, read_video(tmp_path / name).thwc[[0, 5, 11]])


def test_colours_of_a_preview_stay(tmp_path: Path) -> None:
    clip = Video.from_thwc(np.full((3, 32, 32, 3), (200, 60, 30), np.uint8), 8.0)
    write_preview(clip, tmp_path / "a.mp4")
    assert np.abs(read_video(tmp_path / "a.mp4").thwc.astype(int) - (200, 60, 30)).max() <= 3


def test_probe_reads_the_header(tmp_path: Path) -> None:
    write_preview(smooth(), tmp_path / "a.mp4")
    assert probe_video(tmp_path / "a.mp4") == VideoProbe(96, 64, 8.0, 12, "h264", "yuv420p")


def test_hash_depends_on_bytes_shape_and_rate_not_on_layout() -> None:
    video = noise()
    copied = Video(np.ascontiguousarray(video.frames_TCHW), video.fps, {"other": 1})
    assert video_sha256(copied) == video_sha256(video)
    changed = video.thwc.copy()
    changed[3, 5, 7, 1] ^= 1
    others = [
        Video.from_thwc(changed, video.fps),
        Video(video.frames_TCHW, 9.0),
        Video.from_thwc(video.thwc.reshape(6, 64, 48, 3), video.fps),
    ]
    assert len({video_sha256(other) for other in [video, *others]}) == 4


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        silence.rate = 8000
        container.mux(stream.encode(silence))
    for name, match in [
        ("none.mp4", "no such video file"),
        ("empty.mp4", "0 bytes"),
        ("text.mp4", "not a readable video"),
        ("sound.wav", "no video stream"),
        (".", "no such video file"),
    ]:
        for function in (read_video, measure_video, probe_video):
            with pytest.raises(UserError, match=match) as caught:
                function(tmp_path / name)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.7, 0.95, 0.999])
def test_cut_off_files_are_refused(tmp_path: Path, kept: float) -> None:
    write_lossless(noise(30), tmp_path / "a.mkv")
    write_preview(noise(30), tmp_path / "a.mp4")
    with av.open(str(tmp_path / "front.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in noise(30).thwc:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode(None))
    for name in ("a.mkv", "a.mp4", "front.mp4"):
        assert read_video(tmp_path / name).num_frames == 30
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: int(len(whole) * kept)])
        for function in (read_video, measure_video):
            with pytest.raises(UserError, match=name) as caught:
                function(tmp_path / name)
            assert "\n" not in str(caught.value)


def test_damaged_bytes_never_pass_as_a_clip(tmp_path: Path) -> None:
    path = write_lossless(noise(30), tmp_path / "a.mkv")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    for function in (read_video, measure_video):
        with pytest.raises(UserError, match=r"a\.mkv"):
            function(path)


def test_header_count_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in smooth(10).thwc:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    length_field = data.index(b"strh") + 8 + 32
    data[length_field : length_field + 4] = (12).to_bytes(4, "little")
    path.write_bytes(data)
    assert probe_video(path).header_frames == 12
    assert measure_video(path, allow_damaged=True).frames == 10
    with pytest.raises(UserError, match=r"states 12 frames, 10 are there.*allow_damaged=true"):
        read_video(path)
    video = read_video(path, allow_damaged=True)
    assert video.num_frames == 10
    assert "DAMAGED FILE, 10 frames" in video.info["reading"][0]
    assert (video.info["decoded_frames"], video.info["header_frames"]) == (10, 12)


def test_tables_of_different_lengths_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_preview(smooth(10), path)
    data = bytearray(path.read_bytes())
    sizes = data.index(b"stsz") + 12
    data[sizes : sizes + 4] = (5).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(UserError, match="gives times to 10 pictures and sizes to 5"):
        read_video(path)
    assert read_video(path, allow_damaged=True).num_frames == 5


def test_variable_frame_rate_is_recorded(tmp_path: Path) -> None:
    encode(tmp_path / "even.mp4", smooth(8).thwc, [100 * i for i in range(8)])
    encode(tmp_path / "gap.mp4", smooth(8).thwc, [0, 100, 200, 300, 500, 600, 700, 800])
    even, gap = read_video(tmp_path / "even.mp4"), read_video(tmp_path / "gap.mp4")
    assert (even.fps, even.info["variable_frame_rate"]) == (10.0, False)
    assert gap.info["variable_frame_rate"] is True
    assert gap.num_frames == 8
    assert gap.fps == pytest.approx(7 / 0.8)
    assert measure_video(tmp_path / "gap.mp4") == VideoFacts(gap.width, gap.height, 8, gap.fps)


def test_rotation_of_phone_clips_is_applied(tmp_path: Path) -> None:
    frames = np.zeros((3, 64, 96, 3), dtype=np.uint8)
    frames[:, :32, :32] = 250
    encode(tmp_path / "a.mp4", frames, [0, 100, 200], rotation=90)
    video = read_video(tmp_path / "a.mp4")
    assert (video.height, video.width) == (96, 64)
    assert measure_video(tmp_path / "a.mp4") == VideoFacts(64, 96, 3, video.fps)
    bright = video.thwc[0, :, :, 0] > 128
    rows, columns = np.nonzero(bright)
    assert video.info["rotation_deg"] == 90
    # Counterclockwise by 90 degrees, the upper left corner comes down to the lower left.
    assert (rows.mean(), columns.mean()) == pytest.approx((79.5, 15.5), abs=2)


@pytest.mark.parametrize("write", [write_lossless, write_preview])
@pytest.mark.parametrize("budget", [0, 3_000])
def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, budget: int) -> None:
    left = [budget]

    def limited(sink: Any, data: bytes) -> int:
        left[0] -= len(data)
        if left[0] < 0:
            sink.failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise sink.failure
        return io.BufferedWriter.write(sink, data)

    monkeypatch.setattr(writing._Sink, "write", limited)
    with pytest.raises(
        UserError, match=r"no space left: the clip needs up to 1 MB, .* delete old runs"
    ) as caught:
        write(noise(), tmp_path / "run" / "a.mkv")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "run").iterdir()) == []


def test_disk_full_at_the_flush_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lossless(noise(seed=1), tmp_path / "a.mkv")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left"):
        write_lossless(noise(seed=2), path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.mkv"]


def test_unwritable_place_and_bad_rate(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_lossless(noise(), tmp_path / "file" / "a.mkv")
    with pytest.raises(UserError, match="fps=0"):
        write_lossless(noise(fps=0.0), tmp_path / "a.mkv")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
