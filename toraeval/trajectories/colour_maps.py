"""Colour maps of MagicMotion: per frame a picture in which each object is one flat colour on black.

Source: quanhaol/MagicMotion@7642d61, `magicmotion/inference.py` and `trajectory_construction/`: the colours of the
first map are the objects; a map shows the masks of objects or the outlines of their boxes, which are
min(height, width) // 100 thick.

Shape legend: N objects, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from toraeval.inputs.picture_folder import picture_files, read_pictures
from toraeval.inputs.text_files import is_folder
from toraeval.store.sealed import atomic
from toraeval.trajectories.checks import fill_hidden
from toraeval.types import BoolArray, ByteArray, Trajectories, UserError, be, counted
from toraeval.video import read_video

NAME = "annotated_frame_{:05d}.png"
FPS = 8.0
SAME, LEAST_SHARE = (
    48,
    0.0005,
)  # levels by which H.264 may change a colour; share of a picture that is an object
MOST_COLOURS = 256  # a map with more was compressed with loss, or is a photograph
COLOURS = (
    (163, 81, 251),
    (255, 64, 64),
    (76, 251, 18),
    (255, 182, 51),
    (0, 196, 255),
    (255, 151, 202),
    (209, 212, 53),
)


@lru_cache(maxsize=4)
def colour_masks(path: Path, boxes: bool = False) -> BoolArray:
    """Return bool (N, T, H, W) of colour maps, objects in the order of their colours.

    Args:
        path: folder of numbered pictures, or a video, whose colours are told by the nearest one of the first frame.
        boxes: the maps show outlines of boxes, which are filled.

    Raises:
        UserError: no maps, maps of different sizes, or no colour in the first one.
    """
    masks = _exact(path) if path.is_dir() else _nearest(path)
    if not boxes:
        return masks
    rows: BoolArray = np.asarray(masks.any(axis=3))
    columns: BoolArray = np.asarray(masks.any(axis=2))
    return _between(rows)[..., :, None] & _between(columns)[..., None, :]


def _exact(folder: Path) -> BoolArray:
    maps = read_pictures(folder, FPS).thwc
    values = maps.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    colours = [colour for colour in np.unique(values[0]) if colour]
    if not colours:
        raise UserError(f"{folder}: the first map is black; expected: one flat colour per object")
    if len(colours) > MOST_COLOURS:
        raise UserError(
            f"{folder}: {len(colours)} colours in the first map; expected: one flat colour per object, at most "
            f"{MOST_COLOURS}, in pictures without loss (PNG)"
        )
    return np.stack([values == colour for colour in colours])


def _nearest(path: Path) -> BoolArray:
    """Return the masks of maps that went through a lossy codec."""
    frames = read_video(path).thwc.astype(np.int32)
    colours = _flat_colours(frames[0])
    if not colours:
        raise UserError(f"{path}: the first frame has no flat colour; expected: colour maps on black")
    known = np.array([(0, 0, 0), *colours])
    nearest = np.stack([np.abs(frames - colour).max(axis=-1) for colour in known]).argmin(axis=0)
    return np.stack([nearest == index for index in range(1, len(known))])


def _flat_colours(frame_HWC: np.ndarray) -> list[tuple[int, ...]]:
    """Return the colours of areas that are flat but for noise, black excepted."""
    span = cv2.dilate(frame_HWC.astype(np.uint8), np.ones((3, 3))).astype(int)
    span = (span - cv2.erode(frame_HWC.astype(np.uint8), np.ones((3, 3)))).max(axis=-1)
    pixels = frame_HWC[(span < SAME // 2) & (frame_HWC.max(axis=-1) > SAME)]
    found: list[tuple[int, ...]] = []
    while len(pixels) > LEAST_SHARE * frame_HWC.shape[0] * frame_HWC.shape[1]:
        middle = np.median(pixels, axis=0)
        seed = pixels[np.abs(pixels - middle).sum(axis=1).argmin()]
        near = np.abs(pixels - seed).max(axis=1) <= SAME
        found.append(tuple(int(v) for v in np.median(pixels[near], axis=0)))
        pixels = pixels[~near]
    return sorted(found)


def _between(hit: BoolArray) -> BoolArray:
    """Return True from the first to the last hit along the last axis."""
    return np.logical_or.accumulate(hit, -1) & np.logical_or.accumulate(hit[..., ::-1], -1)[..., ::-1]


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


def is_colour_maps(path: Path) -> bool:
    """Tell whether a folder holds nothing but maps named as MagicMotion names them."""
    files = [file for file in path.iterdir() if not file.name.startswith(".")] if is_folder(path) else []
    return bool(files) and all(file.name.startswith("annotated_frame_") for file in files)


def read_colour_maps(path: Path) -> Trajectories:
    """Read a folder of maps, or a video of them, as the paths of the objects' centres.

    Raises:
        UserError: as `colour_masks`.
    """
    if path.is_dir() and not picture_files(path):
        raise UserError(f"{path}: holds no pictures; expected: {NAME.format(0)}, ...")
    masks = colour_masks(path)
    boxes = all(
        mask.sum() < 0.6 * _between(mask.any(1)).sum() * _between(mask.any(0)).sum() for mask in masks[:, 0]
    )
    if not boxes:
        return centres(lambda: masks, str(path), FPS)
    return centres(lambda: colour_masks(path, boxes=True), str(path), FPS)


def map_losses(paths: Trajectories, box: tuple[int, int]) -> list[str]:
    """Return what is not read again from the boxes that `write_colour_maps` draws, a sentence each."""
    low = _low_corners(paths, box)
    high, last = low + np.array(box) - 1, np.array(paths.canvas) - 1
    seen = paths.visible_NT
    within = seen & (high >= 0).all(axis=-1) & (low <= last).all(axis=-1)
    cut = within & ((low < 0) | (high > last)).any(axis=-1)
    pairs = list(combinations(range(paths.num_objects), 2))
    touching = [
        within[i] & within[j] & ((low[i] <= high[j]) & (low[j] <= high[i])).all(axis=-1) for i, j in pairs
    ]
    covered = {
        i for i, j in pairs if within[j, 0] and (low[i, 0] == low[j, 0]).all()
    }  # drawn over by a later one
    lost = sum(not within[i, 0] or i in covered for i in range(paths.num_objects))
    notes = []
    if lost:
        notes.append(
            f"{counted(lost, 'object')} {be(lost)} not in the first map, whose colours are the objects: "
            f"{'it' if lost == 1 else 'they'} {be(lost)} lost"
        )
    if cut.any():
        boxes = int(cut.sum())
        centres = "its centre is" if boxes == 1 else "their centres are"
        notes.append(f"{counted(boxes, 'box')} {be(boxes)} cut at the border: {centres} read elsewhere")
    if np.any(touching):
        notes.append(
            f"boxes overlap in {counted(int(np.any(touching, axis=0).sum()), 'map')}: places may be read elsewhere"
        )
    return notes


def _low_corners(paths: Trajectories, box: tuple[int, int]) -> np.ndarray:
    return np.rint(paths.tracks_NT2 - (np.array(box) - 1) / 2).astype(int)


def write_colour_maps(folder: Path, paths: Trajectories, box: tuple[int, int]) -> list[Path]:
    """Write the outline of a box around every visible object, one picture a frame, and return the files.

    Raises:
        UserError: more objects than there are colours, a first map without any, or maps of a longer clip in the folder.
    """
    if paths.num_objects > len(COLOURS):
        raise UserError(
            f"{folder}: {paths.num_objects} objects; colour maps are written for up to {len(COLOURS)}"
        )
    width, height = paths.canvas
    low = _low_corners(paths, box)
    old = set(picture_files(folder)) if folder.is_dir() else set()
    spare = old - {folder / NAME.format(frame) for frame in range(paths.num_frames)}
    if spare:
        raise UserError(
            f"{folder}: holds {counted(len(spare), 'other picture')}, e.g. {min(spare).name}; allowed: an empty or "
            "new folder"
        )
    files = []
    for frame in range(paths.num_frames):
        picture: ByteArray = np.zeros((height, width, 3), np.uint8)
        for index in range(paths.num_objects):
            if paths.visible_NT[index, frame]:
                start = low[index, frame]
                end = start + np.array(box) - 1
                thick = max(1, min(height, width) // 100)
                cv2.rectangle(picture, start.tolist(), end.tolist(), COLOURS[index], thick)
        if not frame and not picture.any():
            raise UserError(
                f"{folder}: no box of {box[0]}x{box[1]} is drawn in the first map of {width}x{height}, whose colours "
                "are the objects; allowed: a smaller box=[W,H], and an object that is visible at the start"
            )
        done, data = cv2.imencode(".png", picture[..., ::-1])
        assert done
        file = folder / NAME.format(frame)
        atomic(file, partial(_store, data.tobytes()))
        files.append(file)
    return files


def _store(data: bytes, temporary: Path) -> None:
    temporary.write_bytes(data)
