"""Damaged and cut files: refused with what they state and what decodes, or scored and marked; never a shorter clip."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from toraeval.types import UserError, Video
from toraeval.video import has_video_suffix, measure_video, read_video, write_lossless

DATA = Path(__file__).parents[1] / "data" / "faults" / "video"


def moving(frames: int = 12, height: int = 48, width: int = 64) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:height, :width]
    made = [np.stack([x * 3 + 5 * t, y * 4, x + y + t], -1) % 256 for t in range(frames)]
    return np.stack(made).astype(np.uint8)


def encode(path: Path, codec: str, pixels: str, container: str | None = None, **options: str) -> Path:
    muxer = {name[4:]: value for name, value in options.items() if name.startswith("mux_")}
    own = {name: value for name, value in options.items() if not name.startswith("mux_")}
    with av.open(str(path), "w", format=container, options=muxer) as file:
        stream: Any = file.add_stream(codec, rate=25 if codec.startswith("mpeg") else 8, options=own)
        frames = moving()
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def animated(path: Path) -> Path:
    first, *rest = (Image.fromarray(frame) for frame in moving())
    more: dict[str, Any] = {"format": "PNG"} if path.suffix == ".apng" else {}
    first.save(path, save_all=True, append_images=rest, duration=120, **more)
    return path


@pytest.mark.parametrize("name", ["cutmkv.mkv", "cutwebm.webm", "cutfrag.mp4", "flip_hevc.mp4"])
def test_a_damaged_file_is_refused_or_marked(name: str) -> None:
    for function in (read_video, measure_video):
        with pytest.raises(UserError, match=rf"{name}: .*allow_damaged=true") as caught:
            function(DATA / name)
        assert "\n" not in str(caught.value)
    video = read_video(DATA / name, allow_damaged=True)
    assert 0 < video.num_frames < 16
    assert video.info["reading"][0].startswith(f"DAMAGED FILE, {video.num_frames} frame")


# name, codec, pixel format, options; b-frames, open groups of pictures, fragments and every usual container
KINDS: list[tuple[str, str, str, dict[str, str]]] = [
    ("a.mp4", "libx264", "yuv420p", {"bf": "3"}),
    ("open.mp4", "libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=4:bframes=2"}),
    ("front.mp4", "libx264", "yuv420p", {"mux_movflags": "faststart"}),
    ("fragments.mp4", "libx264", "yuv420p", {"g": "4", "mux_movflags": "frag_keyframe+empty_moov"}),
    ("interlaced.mp4", "libx264", "yuv420p", {"x264-params": "interlaced=1"}),
    ("ten.mkv", "libx264", "yuv420p10le", {}),
    ("a.flv", "libx264", "yuv420p", {}),
    ("a.avi", "mpeg4", "yuv420p", {}),
    ("b.avi", "mpeg4", "yuv420p", {"bf": "2"}),
    ("mjpeg.mov", "mjpeg", "yuvj420p", {}),
    ("prores.mov", "prores_ks", "yuv422p10le", {}),
    ("ffv1.mkv", "ffv1", "yuv420p", {}),
    ("ffv1.nut", "ffv1", "yuv420p", {}),
    ("vp8.webm", "libvpx", "yuv420p", {"lag-in-frames": "10", "auto-alt-ref": "1"}),
    ("vp8.ivf", "libvpx", "yuv420p", {"lag-in-frames": "10", "auto-alt-ref": "1"}),
    ("vp8.ogv", "libvpx", "yuv420p", {}),
    ("vp9.webm", "libvpx-vp9", "yuv420p", {"lag-in-frames": "10", "cpu-used": "8"}),
    ("a.wmv", "wmv2", "yuv420p", {}),
    ("a.mxf", "mpeg2video", "yuv420p", {}),
    ("a.gif", "gif", "rgb8", {}),
]


@pytest.mark.parametrize(("name", "codec", "pixels", "options"), KINDS, ids=[kind[0] for kind in KINDS])
def test_sound_files_read_and_cut_ones_never_pass(
    tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    whole = encode(tmp_path / name, codec, pixels, None, **options)
    assert read_video(whole).num_frames == 12
    _never_shorter(whole)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng", "a.y4m"])
def test_sound_pictures_in_motion_read_and_cut_ones_never_pass(tmp_path: Path, name: str) -> None:
    if name == "a.y4m":
        whole = encode(tmp_path / name, "rawvideo", "yuv420p", "yuv4mpegpipe")
    else:
        whole = animated(tmp_path / name)
    assert measure_video(whole).frames == 12
    _never_shorter(whole)


def _never_shorter(whole: Path) -> None:
    data, clip = whole.read_bytes(), read_video(whole)
    for part in (0.2, 0.45, 0.7, 0.9, 0.97):
        whole.write_bytes(data[: int(len(data) * part)])
        try:
            found = read_video(whole)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:  # what was cut off held no picture
            np.testing.assert_array_equal(found.thwc, clip.thwc)


def test_sums_find_a_single_bit(tmp_path: Path) -> None:
    frames = moving()
    for path in (
        write_lossless(Video.from_thwc(frames, 8.0), tmp_path / "a.mkv"),
        animated(tmp_path / "a.apng"),
        encode(tmp_path / "a.ogv", "libvpx", "yuv420p"),
    ):
        data = bytearray(path.read_bytes())
        data[len(data) * 2 // 3] ^= 4
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged"):
            read_video(path)


def test_a_gif_without_its_trailer(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.gif")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="its trailer is missing"):
        read_video(path)


def test_a_suffix_in_capitals_is_a_video(tmp_path: Path) -> None:
    shutil.copy(DATA / "still_moving.webp", tmp_path / "A.WEBP")
    assert has_video_suffix(tmp_path / "A.WEBP")
    assert read_video(tmp_path / "A.WEBP").num_frames == 16
