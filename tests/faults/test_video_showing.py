"""What a video shows: exact colours, the way it is to be turned, the right stream, held pictures."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from toraeval.types import UserError, Video
from toraeval.video import colours, measure_video, opening, probe_video, read_video
from toraeval.video.display import Display, UnsupportedMatrixError, from_matrix

DATA = Path(__file__).parents[1] / "data" / "faults" / "video"


def psnr(a: Video, b: Video) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.thwc.astype(float) - b.thwc) ** 2)))


def test_colours_of_subsampled_files_lie_where_they_were() -> None:
    exact = read_video(DATA / "rgb_lossless.mkv")
    found = read_video(DATA / "h264_420_crf0.mp4")
    assert psnr(exact, found) > 38.2  # 36.96 with one chroma sample for two pixels
    assert (
        np.abs((found.thwc.astype(float) - exact.thwc).mean(axis=(0, 1, 2))).max() < 0.3
    )  # was 1.4 too dark


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuvj420p"])
@pytest.mark.parametrize(("matrix", "red", "blue"), [(1, 0.2126, 0.0722), (5, 0.299, 0.114)])
def test_matrix_and_range_are_those_of_the_file(pixels: str, matrix: int, red: float, blue: float) -> None:
    deep = 4 if "10" in pixels else 1
    full = pixels.startswith("yuvj")
    for y, u, v in ((60, 100, 150), (180, 140, 110), (128, 128, 128)):
        frame = av.VideoFrame(16, 16, pixels)
        for plane, value in zip(frame.planes, (y, u, v), strict=True):
            kind: Any = np.uint16 if deep > 1 else np.uint8
            plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value * deep, kind).tobytes())
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
        picture, _ = colours.Converter().to_rgb(frame)
        luma = y if full else (y - 16) * 255 / 219
        cb, cr = ((c - 128) * (1 if full else 255 / 224) for c in (u, v))
        r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
        g = (luma - red * r - blue * b) / (1 - red - blue)
        np.testing.assert_allclose(picture[8, 8], np.clip([r, g, b], 0, 255), atol=1.2)


def test_a_mirror_is_a_mirror_and_no_turn() -> None:
    mirrored = read_video(DATA / "mirror.mp4")
    assert mirrored.info["reading"] == ["mirrored left to right, as the file asks"]
    assert "rotation_deg" not in mirrored.info
    assert psnr(mirrored, read_video(DATA / "rgb_lossless.mkv")) > 30


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("flipped", [False, True])
def test_every_matrix_moves_points_as_it_says(transposed: bool, mirrored: bool, flipped: bool) -> None:
    across, down = (-1 if mirrored else 1), (-1 if flipped else 1)
    matrix = np.array([[0, down], [across, 0]] if transposed else [[across, 0], [0, down]])
    full = np.zeros((3, 3), np.int32)
    full[:2, :2] = matrix << 16
    full[2, 2] = 1 << 30
    display = from_matrix(full)
    assert display == Display(transposed, mirrored, flipped)
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    shown = display.apply(picture)
    for row in range(2):
        for column in range(3):
            x, y = np.array([column - 1.0, row - 0.5]) @ matrix
            height, width = shown.shape[:2]
            assert (
                shown[round(y + (height - 1) / 2), round(x + (width - 1) / 2), 0] == picture[row, column, 0]
            )


def test_an_odd_angle_is_refused(tmp_path: Path) -> None:
    half = round(np.sqrt(0.5) * (1 << 16))
    with pytest.raises(UnsupportedMatrixError, match="45"):
        from_matrix(np.array([[half, half, 0], [-half, half, 0], [0, 0, 1 << 30]], np.int32))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.set_display_rotation(30)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match=r"30\.0 degrees; allowed are turns by multiples of 90"):
        read_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        ([[0, 0], [0, 0]], "without any area: its display matrix is zero;"),
        ([[65536, 0], [65536, 65536]], r"sheared or squeezed, by the display matrix \[\[65536, 0\]"),
        ([[65536, 0], [0, 0]], "sheared or squeezed"),
        ([[0, 0], [65536, 65536]], "sheared or squeezed"),
    ],
)
def test_a_matrix_that_is_no_turn_is_not_told_as_one(matrix: list[list[int]], told: str) -> None:
    full = np.zeros((3, 3), np.int32)
    full[:2, :2] = matrix
    with pytest.raises(UnsupportedMatrixError, match=told) as caught:
        from_matrix(full)
    assert "turned by" not in str(caught.value)


def test_the_best_stream_is_read_and_named() -> None:
    video = read_video(DATA / "thumbtrack.mp4")
    assert (video.num_frames, video.width, video.height) == (16, 192, 128)
    assert video.info["reading"] == ["stream 1 of 2 video streams"]


def test_a_held_picture_is_repeated() -> None:
    video = read_video(DATA / "pil_merged.gif")
    assert video.num_frames == 16
    assert (video.thwc[:6] == video.thwc[0]).all()
    assert "5 frames added" in video.info["reading"][0]
    assert measure_video(DATA / "pil_merged.gif").frames == 16


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
@pytest.mark.parametrize("delays", [[100] * 6, [300, 100, 100, 200], [100, 100, 500]])
def test_delays_in_whole_units(tmp_path: Path, suffix: str, delays: list[int]) -> None:
    pictures = [Image.new("RGB", (32, 32), (40 * k, 90, 200 - 30 * k)) for k in range(len(delays))]
    more: dict[str, Any] = (
        {"format": "PNG"} if suffix == ".apng" else {"lossless": True} if suffix == ".webp" else {}
    )
    path = tmp_path / f"a{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=delays, **more)
    video = read_video(path)
    assert (video.num_frames, video.fps) == (sum(delays) // 100, pytest.approx(10))
    assert video.info["variable_frame_rate"] is False


def test_uneven_delays_are_announced(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (32, 32), (40 * k, 90, 0)) for k in range(4)]
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 150, 100, 130]
    )
    video = read_video(tmp_path / "a.gif")
    assert video.info["variable_frame_rate"] is True
    assert "variable frame rate" in video.info["reading"][0]


@pytest.mark.parametrize("text", [
    "ffconcat version 1.0\nfile 'b.mkv'\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nb.mkv\n#EXT-X-ENDLIST\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9999 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    '<?xml version="1.0"?><MPD><Period><AdaptationSet/></Period></MPD>',
])  # fmt: skip
@pytest.mark.parametrize("name", ["a.mp4", "a.ffconcat", "a.m3u8", "a.sdp"])
def test_no_text_makes_another_file_be_read(tmp_path: Path, text: str, name: str) -> None:
    shutil.copy(DATA / "rgb_lossless.mkv", tmp_path / "b.mkv")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="not a readable video"):
        read_video(tmp_path / name)


def test_a_path_is_never_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.05)
        address = f"http:/127.0.0.1:{server.getsockname()[1]}"
        names = [f"{address}/leak.mp4", "take:1.mp4", "concat:a.mp4", "file:b.mp4", "pipe:0.mp4", "%03d.mp4"]
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(DATA / "rgb_lossless.mkv", name)
            assert read_video(name).num_frames == 16
            assert probe_video(name).width == 192
        with pytest.raises(TimeoutError):
            server.accept()


def test_names_that_are_not_paths() -> None:
    for name in ("a" * 5000 + ".mp4", "a\0b.mp4"):
        with pytest.raises(UserError, match="no such video file"):
            read_video(name)


def test_names_that_are_not_text(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mkv")
    shutil.copy(DATA / "rgb_lossless.mkv", path)
    assert read_video(path).num_frames == 16


def test_promised_sizes_are_checked_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MAX_CLIP_BYTES", 10 * 192 * 128 * 3)
    with pytest.raises(UserError, match=r"frames of 192x128 take .* allowed are"):
        read_video(DATA / "rgb_lossless.mkv")
    monkeypatch.setattr(opening, "MAX_PIXELS", 100 * 100)
    for function in (read_video, measure_video, probe_video):
        with pytest.raises(UserError, match="192x128; allowed are"):
            function(DATA / "rgb_lossless.mkv")
