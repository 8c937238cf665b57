"""Pyramidal Lucas-Kanade between two frames with a forward-backward check."""

from __future__ import annotations

import cv2
import numpy as np

from toraeval.trackers.shared.template import Floats
from toraeval.types import BoolArray, ByteArray, FloatArray

_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03)


def checked_flow(
    before_HW: ByteArray,
    after_HW: ByteArray,
    points_K2: Floats,
    *,
    window: int,
    levels: int,
    tolerance: float,
) -> tuple[Floats, BoolArray]:
    """Move points from one frame to the next and back again.

    Args:
        before_HW, after_HW: uint8 grey frames of one size.
        points_K2: float32 `(x, y)` pixels of the first frame; all points of a frame go into one
            call because OpenCV's Python interface rebuilds both pyramids in every call.
        window: window side, pixels.
        levels: highest pyramid level.
        tolerance: largest distance between a point and where it returns to, pixels.

    Returns:
        float32 (K, 2) displacements and bool (K,) of those that returned.
    """
    if len(points_K2) == 0:
        return np.zeros((0, 2), np.float32), np.zeros(0, bool)
    size = (window, window)
    start = np.ascontiguousarray(points_K2, np.float32)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        before_HW, after_HW, start, None, winSize=size, maxLevel=levels, criteria=_STOP
    )
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(
        after_HW, before_HW, there, None, winSize=size, maxLevel=levels, criteria=_STOP
    )
    error = np.linalg.norm(back - start, axis=1)
    good = (ok.ravel() > 0) & (ok_back.ravel() > 0) & (error < tolerance)
    return np.asarray(there - start, np.float32), np.asarray(good)


def median_motion(
    moves_K2: Floats, good_K: BoolArray, *, min_points: int, min_share: float
) -> FloatArray | None:
    """Return the median displacement of the points that returned, or None when they are too few."""
    if good_K.sum() < max(min_points, min_share * len(good_K)):
        return None
    return np.asarray(np.median(moves_K2[good_K], axis=0), np.float64)
