"""Sizes, clips and masks of public benchmarks, as files that are read when they are needed.

Shape legend: N objects, T frames, H height, W width.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from toraeval.inputs.picture_folder import picture_files, read_pictures
from toraeval.types import BoolArray, ByteArray, UserError, Video
from toraeval.video import read_picture, read_video


def any_case(path: Path) -> Path:
    """Return the file of that name, or else one beside it whose name differs in upper and lower case alone."""
    if path.exists() or not path.parent.is_dir():
        return path
    alike = sorted(file for file in path.parent.iterdir() if file.name.lower() == path.name.lower())
    return alike[0] if alike else path


def read_clip(path: Path, fps: float = 0.0) -> Video:
    """Read a video file, or a folder of numbered pictures at `fps` frames per second.

    Raises:
        UserError: as the readers.
    """
    return read_pictures(path, fps) if path.is_dir() else read_video(path)


def first_of_folder(folder: Path) -> ByteArray:
    """Return the first picture of a folder, uint8 (H, W, 3)."""
    return read_picture(picture_files(folder)[0])


def first_of_video(path: Path) -> ByteArray:
    """Return the first frame of a video file, uint8 (H, W, 3)."""
    return np.ascontiguousarray(read_video(path).thwc[0])


@lru_cache(maxsize=4)
def index_masks(files: tuple[Path, ...], one_object: bool = False) -> BoolArray:
    """Return bool (N, T, H, W) of index pictures (DAVIS): the pixel's value is the object; 0 is ground, 255 void.

    Args:
        files: one per frame.
        one_object: every value above 0 is the same object, as in DAVIS 2016, whose masks are 0 and 255.

    Raises:
        UserError: a file is not an index picture, or they differ in size.
    """
    indices = []
    for file in files:
        try:
            with Image.open(file) as opened:
                if opened.mode not in ("P", "L"):
                    raise UserError(
                        f"{file}: mode {opened.mode}; expected: a palette picture with object indices"
                    )
                indices.append(np.asarray(opened))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"{file}: not a readable picture: {error}") from error
        if indices[-1].shape != indices[0].shape:
            raise UserError(f"{file}: another size than {files[0].name}")
    stacked = np.stack(indices)
    if one_object:
        stacked = (stacked > 0).astype(np.uint8)
    objects = [value for value in np.unique(stacked) if value not in (0, 255)]
    if not objects:
        raise UserError(f"{files[0].parent}: no object in any annotation")
    return np.stack([stacked == value for value in objects])
