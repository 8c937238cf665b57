"""Clips that lie as numbered pictures in a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from toraeval.types import UserError, Video
from toraeval.video import PICTURE_SUFFIXES, VideoFacts, has_picture_suffix, read_picture, require_bytes

DEFAULT_FPS = 8.0


def picture_files(folder: Path) -> list[Path]:
    """Return the visible pictures of a folder in the order of the last number in their names, else of the names."""
    return sorted(
        (
            path
            for path in folder.iterdir()
            if has_picture_suffix(path) and not path.name.startswith(".") and path.is_file()
        ),
        key=lambda path: (_last_number(path), path.name),
    )


def read_pictures(folder: str | os.PathLike[str], fps: float) -> Video:
    """Read a clip that lies as numbered pictures in a folder (`0000.png`, `frame_1.png`, ...).

    Args:
        folder: holds nothing but this clip's frames.
        fps: frames per second, which pictures do not state.

    Raises:
        UserError: no frames, one without a number, a gap or a double in the numbers, a damaged or transparent
            picture, or different sizes.
    """
    folder = Path(folder)
    files = picture_files(folder)
    if not files:
        raise UserError(f"{folder}: holds no pictures ({', '.join(PICTURE_SUFFIXES)})")
    numbers = [_last_number(file) for file in files]
    for file, number, expected in zip(
        files, numbers, range(numbers[0], numbers[0] + len(files)), strict=True
    ):
        if number != expected or number < 0:
            raise UserError(
                f"{folder}: frame {max(expected, 0)} is missing or there twice (found {file.name})"
            )
    first = read_picture(files[0], transparent=False)
    require_bytes(folder, len(files), first.shape[1], first.shape[0])
    frames = [first, *(read_picture(file, transparent=False) for file in files[1:])]
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        listed = ", ".join(sorted(f"{width}x{height}" for height, width, _ in sizes))
        raise UserError(f"{folder}: frames of different sizes: {listed}")
    info = {
        "source": folder.name,
        "codec": files[0].suffix.lower()[1:],
        "decoded_frames": len(frames),
        "fps_from": "case",
    }
    return Video.from_thwc(np.stack(frames), fps, info)


def measure_pictures(folder: Path, fps: float = DEFAULT_FPS) -> VideoFacts:
    """Return size and length of a clip that lies as pictures, at a rate that pictures do not state.

    Raises:
        UserError: as `read_pictures`.
    """
    video = read_pictures(folder, fps)
    return VideoFacts(video.width, video.height, video.num_frames, fps)


def _last_number(file: Path) -> int:
    numbers = re.findall(r"\d+", file.stem)
    return int(numbers[-1]) if numbers else -1
