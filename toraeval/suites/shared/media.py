"""Sizes, clips and masks of public benchmarks, as files that are read when they are needed.

Shape legend: N objects, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from toraeval.inputs.picture_folder import picture_files, read_pictures
from toraeval.trajectories.checks import fill_hidden
from toraeval.types import BoolArray, ByteArray, Trajectories, UserError, Video
from toraeval.video import read_picture, read_video


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
def colour_masks(folder: Path) -> BoolArray:
    """Return bool (N, T, H, W) of colour maps: one flat colour an object, in the order of its colour; black is ground.

    The objects are the colours of the first map, as in MagicMotion's loader.

    Raises:
        UserError: no maps, maps of different sizes, or no colour in the first one.
    """
    maps = read_pictures(folder, 1.0).thwc
    values = maps.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    colours = [colour for colour in np.unique(values[0]) if colour]
    if not colours:
        raise UserError(f"{folder}: the first map is black; expected: one flat colour per object")
    return np.stack([values == colour for colour in colours])


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


def centres(masks: Callable[[], BoolArray], source: str, fps: float) -> Trajectories:
    """Return the centroid of every object's pixels per frame; where it has none it is hidden.

    Args:
        masks: gives bool (N, T, H, W).
        source: for messages and records.
        fps: frames per second.
    """
    found = masks()
    _, _, height, width = found.shape
    area = found.sum(axis=(2, 3))
    with np.errstate(invalid="ignore"):
        x = (found.sum(axis=2) @ np.arange(width)) / area
        y = (found.sum(axis=3) @ np.arange(height)) / area
    seen = area > 0
    tracks = np.stack([x, y], axis=-1)
    filled = np.stack([fill_hidden(track, known) for track, known in zip(tracks, seen, strict=True)])
    notes = ("paths are the centroids of the objects' masks",)
    return Trajectories(filled, seen, (width, height), fps, source, notes=notes)
