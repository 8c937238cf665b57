"""Parts of a picture around moving points."""

from __future__ import annotations

import cv2
import numpy as np

from toraeval.types import ByteArray, FloatArray

OBJECT_REACH = 0.15
"""Radius of a disc that holds an object, in units of the shorter side: 77 px of 512, 38 px of 256."""

FAR = 1e6  # where OpenCV's whole-number coordinates are still safe


def near(points_K2: FloatArray, size: tuple[int, int]) -> ByteArray:
    """Return uint8 (H, W), 255 where a pixel lies within `OBJECT_REACH` of one of the points, else 0.

    Args:
        points_K2: `(x, y)` float pixels, also outside the picture.
        size: `(width, height)`.
    """
    mask = np.zeros((size[1], size[0]), np.uint8)
    radius = round(OBJECT_REACH * min(size))
    for x, y in np.rint(np.clip(points_K2, -FAR, FAR)).astype(int):
        cv2.circle(mask, (int(x), int(y)), radius, 255, cv2.FILLED)
    return mask
