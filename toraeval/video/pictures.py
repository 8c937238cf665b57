"""Single pictures as 8-bit RGB: upright, every depth by its values, never larger than fits."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from toraeval.types import ByteArray, UserError, counted
from toraeval.video.colours import over_white
from toraeval.video.opening import reason

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_PICTURE_PIXELS = 120_000_000
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, cv2.error)


def has_picture_suffix(path: Path) -> bool:
    """Return whether a file's name ends like a picture's, in any case of letters."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def picture_size(path: Path) -> tuple[int, int]:
    """Return `(width, height)` of a picture as its header states it.

    Raises:
        UserError: it is not a readable picture.
    """
    try:
        with Image.open(path) as opened:
            return opened.size
    except _ERRORS as error:
        raise UserError(f"{path}: not a readable picture: {reason(error)}") from error


def read_picture(path: Path, transparent: bool = True) -> ByteArray:
    """Read a picture as uint8 RGB (H, W, 3), upright as its EXIF says.

    16 bits per channel are divided by 257 and rounded; floating-point values are taken as 0 to 1.

    Args:
        path: the file.
        transparent: lay transparent pixels over white; otherwise refuse them.

    Raises:
        UserError: no picture, damaged, cut off, too large, transparent where that is refused, or with values that have
            no agreed meaning.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked below
            opened = Image.open(path)
        with opened:
            width, height = opened.size
            if width * height > MAX_PICTURE_PIXELS:
                raise UserError(
                    f"{path}: {width}x{height} pixels; allowed are {MAX_PICTURE_PIXELS / 1e6:.0f} million"
                )
            values = _values(path, opened)
    except _ERRORS as error:
        raise UserError(
            f"{path}: not a readable picture: {reason(error)}; allowed: {', '.join(PICTURE_SUFFIXES)}"
        ) from error
    if values.shape[2] == 3:
        return values
    rgb, through = over_white(values)
    if through and not transparent:
        raise UserError(f"{path}: has transparent pixels; allowed: opaque pictures")
    return rgb


def _values(path: Path, opened: Image.Image) -> ByteArray:
    """Return uint8 (H, W, 3), or (H, W, 4) where the picture may be transparent."""
    # Phones store a second view beside a JPEG (MPO); the first one is the picture.
    if opened.format in ("GIF", "WEBP", "PNG", "TIFF") and getattr(opened, "n_frames", 1) > 1:
        raise UserError(f"{path}: holds {counted(getattr(opened, 'n_frames', 1), 'picture')}; allowed is one")
    tiles = getattr(opened, "tile", None)
    raw = str(tiles[0][3]) if tiles else ""
    if opened.mode in ("RGB", "RGBA", "LA", "L") and ";16" in raw:
        return _upright(opened, _deep_colours(path))
    if opened.mode in _DEEP or opened.mode == "F":
        values = np.asarray(opened)
        grey = _from_float(path, values) if opened.mode == "F" else _from_deep(path, values)
        return _upright(opened, np.repeat(grey[..., None], 3, axis=2))
    picture = ImageOps.exif_transpose(opened)
    alpha = "A" in picture.getbands() or "transparency" in picture.info
    return np.asarray(picture.convert("RGBA" if alpha else "RGB"), dtype=np.uint8)


def _upright(opened: Image.Image, values_HWC: ByteArray) -> ByteArray:
    """Turn decoded values as the picture's EXIF says."""
    picture = Image.fromarray(values_HWC)
    picture.getexif().update(opened.getexif())
    return np.asarray(ImageOps.exif_transpose(picture), dtype=np.uint8)


def _deep_colours(path: Path) -> ByteArray:
    """Read 16 bits per channel, of which Pillow keeps eight without rounding."""
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    found = cv2.imdecode(np.fromfile(path, dtype=np.uint8), flags)
    if found is None or found.dtype != np.uint16:
        raise ValueError("16 bits per channel in a layout that is not known")
    if found.ndim == 2:
        found = np.repeat(found[..., None], 3, axis=2)
    order = [2, 1, 0, 3][: found.shape[2]]
    return _eight_bits(found[..., order])


def _eight_bits(values: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> ByteArray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_deep(path: Path, values_HW: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> ByteArray:
    low, high = int(values_HW.min()), int(values_HW.max())
    if low < 0 or high > 65535:
        raise UserError(f"{path}: grey values from {low} to {high}; allowed are 8 or 16 bits per channel")
    return _eight_bits(values_HW.astype(np.uint16))


def _from_float(path: Path, values_HW: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> ByteArray:
    low, high = float(values_HW.min()), float(values_HW.max())
    if not (low >= 0 and high <= 1):  # NaN fails, too
        raise UserError(
            f"{path}: floating-point values from {low:g} to {high:g}; allowed are 0 to 1, or save it with 8 bits"
        )
    return np.round(values_HW * 255.0).astype(np.uint8)
