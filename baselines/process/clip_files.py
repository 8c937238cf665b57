"""Frames on the way back from the child, checked, and brought to the requested size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from toraeval.types import ByteArray, UserError, counted

from .protocol import FRAMES

RESIZE = "area where smaller, bicubic where larger (OpenCV)"


def read_frames(folder: Path, shape: tuple[int, int, int], what: str) -> ByteArray:
    """Return the frames that the child wrote.

    Args:
        folder: of the job.
        shape: expected `(frames, height, width)`.
        what: model and case, for messages.

    Returns:
        uint8 (T, H, W, 3) RGB; floats become bytes by truncation, as the upstream scripts do it.

    Raises:
        UserError: no file, or frames of another number, size, type or range, or not finite.
    """
    path = folder / FRAMES
    try:
        frames = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{what}: said it was done, but {FRAMES} cannot be read ({error})") from error
    expected = (*shape, 3)
    if frames.shape != expected:
        raise UserError(f"{what}: wrote an array {frames.shape}; expected {expected}")
    if frames.dtype == np.uint8:
        return frames
    if frames.dtype not in (np.float32, np.float64):
        raise UserError(f"{what}: wrote {frames.dtype}; expected uint8, float32 or float64")
    broken = np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2, 3)))
    if len(broken):
        raise UserError(
            f"{what}: {len(broken)} of {counted(len(frames), 'frame')} hold NaN or infinity, first {broken[0]}"
        )
    if frames.min() < 0 or frames.max() > 1:
        raise UserError(f"{what}: values from {frames.min():g} to {frames.max():g}; expected 0 to 1")
    return (frames * 255).astype(np.uint8)


def resized(frames_THWC: ByteArray, width: int, height: int) -> ByteArray:
    """Return uint8 frames at another size, both sides scaled on their own, by the rule of `RESIZE`."""
    before_h, before_w = frames_THWC.shape[1:3]
    if (before_w, before_h) == (width, height):
        return frames_THWC
    method = cv2.INTER_AREA if width <= before_w and height <= before_h else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=method) for frame in frames_THWC])
