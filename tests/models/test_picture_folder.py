"""Frames as pictures: their order, and everything that would change them in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toraeval.inputs.picture_folder import read_pictures
from toraeval.types import UserError


def save(path: Path, mode: str = "RGB", size: tuple[int, int] = (6, 4), **options: int) -> None:
    Image.new(mode, size, **options).save(path)


def test_modes_that_lose_nothing_are_read(tmp_path: Path) -> None:
    save(tmp_path / "7.png", "RGB", color=0x030201)
    save(tmp_path / "8.png", "L", color=5)
    Image.new("RGBA", (6, 4), (1, 2, 3, 255)).save(tmp_path / "9.png")
    video = read_pictures(tmp_path, 10.0)
    assert (video.num_frames, video.height, video.width, video.fps) == (3, 4, 6, 10.0)
    np.testing.assert_array_equal(video.thwc[:, 0, 0], [[1, 2, 3], [5, 5, 5], [1, 2, 3]])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "holds no pictures"),
        (("0.png", "2.png"), "frame 1 is missing or there twice .found 2.png"),
        (("1.png", "01.png"), "frame 2 is missing or there twice"),
        (("first.png",), "frame 0 is missing"),
    ],
)
def test_numbers_must_be_complete(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        save(tmp_path / name)
    with pytest.raises(UserError, match=message):
        read_pictures(tmp_path, 8.0)


def test_pictures_that_cannot_be_taken(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    save(tmp_path / "1.png", size=(4, 4))
    with pytest.raises(UserError, match="frames of different sizes: 4x4, 6x4"):
        read_pictures(tmp_path, 8.0)
    save(tmp_path / "1.png", "RGBA")
    with pytest.raises(UserError, match=r"1.png: has transparent pixels; allowed: opaque pictures"):
        read_pictures(tmp_path, 8.0)
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1.png: not a readable picture"):
        read_pictures(tmp_path, 8.0)
