"""Clips that lie as numbered PNG frames in a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from PIL import Image

from toraeval.types import ByteArray, UserError, Video


def picture_files(folder: Path) -> list[Path]:
    """Return the PNG files of a folder in the order of the last number in their names, else of the names."""
    return sorted(folder.glob("*.png"), key=lambda path: (_last_number(path), path.name))


def read_pictures(folder: str | os.PathLike[str], fps: float) -> Video:
    """Read a clip that lies as numbered PNG frames in a folder (`0000.png`, `frame_1.png`, ...).

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
        raise UserError(f"{folder}: holds no PNG frames")
    numbers = [_last_number(file) for file in files]
    for file, number, expected in zip(
        files, numbers, range(numbers[0], numbers[0] + len(files)), strict=True
    ):
        if number != expected or number < 0:
            raise UserError(
                f"{folder}: frame {max(expected, 0)} is missing or there twice (found {file.name})"
            )
    frames = [_read_picture(file) for file in files]
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        listed = ", ".join(sorted(f"{width}x{height}" for height, width, _ in sizes))
        raise UserError(f"{folder}: frames of different sizes: {listed}")
    info = {"source": folder.name, "codec": "png", "decoded_frames": len(frames), "fps_from": "case"}
    return Video.from_thwc(np.stack(frames), fps, info)


def _last_number(file: Path) -> int:
    numbers = re.findall(r"\d+", file.stem)
    return int(numbers[-1]) if numbers else -1


def _read_picture(file: Path) -> ByteArray:
    try:
        with Image.open(file) as picture:
            picture.load()
            plain = picture.mode in ("RGB", "L", "P") and "transparency" not in picture.info
            opaque = picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255)
            if not plain and not opaque:
                raise UserError(
                    f"{file}: mode {picture.mode}; allowed: opaque pictures of 8 bits per channel"
                )
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{file}: not a readable picture ({error})") from error
