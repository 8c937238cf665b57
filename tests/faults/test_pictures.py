"""Pictures of every depth and way up keep their values; what has no agreed meaning is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from toraeval.inputs.picture_folder import picture_files, read_pictures
from toraeval.suites.shared import first_frame
from toraeval.types import UserError
from toraeval.video import read_picture

RAMP = np.linspace(0, 65535, 32 * 24).round().astype(np.uint16).reshape(24, 32)


def eight(values: np.ndarray) -> np.ndarray:
    return np.round(values / 257.0).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".PNG"])
def test_sixteen_bits_of_grey_keep_their_values(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RAMP).save(path)
    expected = np.repeat(eight(RAMP)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_picture(path), expected)
    np.testing.assert_array_equal(np.asarray(first_frame.open_picture(path)), expected)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_of_colour_are_rounded_not_cut(tmp_path: Path, suffix: str) -> None:
    colours = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), np.ascontiguousarray(colours[..., ::-1]))
    np.testing.assert_array_equal(read_picture(tmp_path / f"a{suffix}"), eight(colours))


def test_sixteen_bits_with_transparency(tmp_path: Path) -> None:
    alpha = np.full_like(RAMP, 65535)
    alpha[:, :16] = 0
    cv2.imwrite(str(tmp_path / "a.png"), np.stack([RAMP, RAMP, RAMP, alpha], axis=2))
    found = read_picture(tmp_path / "a.png")
    assert (found[:, :16] == 255).all()
    np.testing.assert_array_equal(found[:, 16:, 0], eight(RAMP[:, 16:]))
    with pytest.raises(UserError, match="transparent"):
        read_picture(tmp_path / "a.png", transparent=False)


def test_floating_point_is_nought_to_one_or_refused(tmp_path: Path) -> None:
    values = (RAMP / 65535).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tiff")[..., 1], np.round(values * 255))
    for factor, shown in ((255.0, "0 to 255"), (float("nan"), "nan"), (-1.0, "-1 to")):
        Image.fromarray(values * np.float32(factor)).save(tmp_path / "b.tiff")
        with pytest.raises(UserError, match=f"floating-point values from .*{shown}.*allowed are 0 to 1"):
            read_picture(tmp_path / "b.tiff")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_every_kind_of_picture(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((24, 32, 3), np.uint8)
    upright[:8, :12] = 255
    back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }  # fmt: skip
    stored = Image.fromarray(upright)
    if back in turn:
        stored = stored.transpose(turn[back])
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "clip").mkdir()
    stored.save(tmp_path / "clip" / "0000.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "clip" / "0000.png"), upright)
    np.testing.assert_array_equal(read_pictures(tmp_path / "clip", 8.0).thwc[0], upright)
    grey = Image.fromarray(np.asarray(stored)[..., 0].astype(np.uint16) * 257)
    grey.save(tmp_path / "grey.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png"), upright)


def test_a_small_file_that_promises_a_huge_picture(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path = tmp_path / "0.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(UserError, match=r"0\.png: ") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


def test_folders_in_other_formats_and_capitals(tmp_path: Path) -> None:
    for number, suffix in enumerate((".PNG", ".JPG", ".webp", ".tif")):
        Image.new("RGB", (32, 24), (60 * number, 0, 0)).save(tmp_path / f"frame_{number}{suffix}")
    (tmp_path / "._frame_0.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    assert len(picture_files(tmp_path)) == 4
    assert read_pictures(tmp_path, 8.0).num_frames == 4


def test_a_moving_picture_is_not_a_first_frame(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (32, 24), (k, 0, 0)) for k in (0, 90)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=100)
    with pytest.raises(UserError, match="holds 2 pictures; allowed is one"):
        read_picture(tmp_path / "a.webp")
