"""Animated WebP files, which FFmpeg does not decode; Pillow does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from toraeval.types import ByteArray, UserError, counted
from toraeval.video import structure
from toraeval.video.colours import over_white
from toraeval.video.decoding import DamagedError, Decoded, Take
from toraeval.video.display import Display
from toraeval.video.opening import reason, require_bytes, require_file, require_pixels
from toraeval.video.timing import Stamps

_ERRORS = (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError)


def is_webp(path: Path) -> bool:
    """Return whether a file starts like a WebP, whatever its name."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except (OSError, ValueError):
        return False
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def size(path: Path) -> tuple[int, int]:
    """Return width and height of the canvas."""
    require_file(path)
    try:
        with Image.open(path) as picture:
            return picture.size
    except _ERRORS as error:
        raise UserError(f"{path}: not a readable video file, or cut off: {reason(error)}") from error


def decode(path: Path, take: Take | None, strict: bool = True) -> Decoded:
    """Decode the pictures of a WebP file; arguments and result as in `decoding.decode`."""
    width, height = size(path)
    require_pixels(path, width, height)
    wrong = structure.fault(path, "webp") if strict else None
    if wrong:
        raise DamagedError(f"{path}: {wrong}")
    delays: list[float | None] = []
    transparent = False
    try:
        with Image.open(path) as picture:
            frames = getattr(picture, "n_frames", 1)
            require_bytes(path, frames, width, height)
            if take is not None:
                take.expect(frames)
            for shown in ImageSequence.Iterator(picture):
                rgba: ByteArray = np.asarray(shown.convert("RGBA"))
                delays.append((shown.info.get("duration") or 0) / 1000 or None)
                rgb, through = over_white(rgba)
                transparent |= through
                if take is not None:
                    take(rgb)
    except _ERRORS as error:
        if strict or not delays:
            raise DamagedError(
                f"{path}: damaged after {counted(len(delays), 'frame')}: {reason(error)}"
            ) from error
    times = [0.0, *np.cumsum([delay or 0.0 for delay in delays])[:-1].tolist()]
    return Decoded(
        stamps=Stamps(times, delays, 0.001),
        size=(width, height),
        display=Display(),
        animated=True,
        codec="webp",
        pixel_format="rgb24",
        header_frames=None,
        header_rate=None,
        tagged_rate=None,
        notes=["transparent pixels laid over white"] if transparent else [],
    )
