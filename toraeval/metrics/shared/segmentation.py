"""Finding an object again in a generated clip by the colours it has in the first frame.

Shape legend: N objects, H height, W width, B colour bins.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from toraeval.types import BoolArray, ByteArray, FloatArray

BIN = 8
BINS = 256 // BIN
SPREAD = 1.5
"""Standard deviation in colour bins by which a colour may wander and still count as the same."""

MIN_DENSITY = 1e-6
"""Colours rarer than this inside the object are not the object's, even if the rest has none of them."""

WINDOW = 1.6
"""The object is looked for around the tracked point as far as it reaches in the first frame, times this."""


class ColourModel:
    """Colours of each object against those of everything else, learnt from one picture with masks.

    A colour (8x8x8 levels per bin, densities smoothed by 1.5 bins) belongs to the object if it is more frequent in
    the object than in the rest of the picture. Unseen colours belong to nobody.

    Args:
        picture_HWC: uint8 RGB.
        masks_NHW: bool, the pixels of each object in it.
        points_N2: `(x, y)` pixels of each object's own point.
    """

    def __init__(self, picture_HWC: ByteArray, masks_NHW: BoolArray, points_N2: FloatArray) -> None:
        index_HW = _bins(picture_HWC)
        self.tables = [
            _density(index_HW[mask]) > np.maximum(_density(index_HW[~mask]), MIN_DENSITY)
            for mask in masks_NHW
        ]
        self.reaches = [_reach(mask, point) for mask, point in zip(masks_NHW, points_N2, strict=True)]

    def find(self, n: int, frame_HWC: ByteArray, point: FloatArray) -> tuple[tuple[int, int], BoolArray]:
        """Return object n around a tracked point: `(left, top)` of a window and bool (h, w) of its pixels.

        The window's largest connected area with the object's colours, holes filled; all False if there is none.
        """
        height, width = frame_HWC.shape[:2]
        reach = int(np.ceil(WINDOW * self.reaches[n]))
        x, y = np.rint(np.clip(point, -reach, [width + reach, height + reach])).astype(int)
        left, top = max(0, x - reach), max(0, y - reach)
        window = frame_HWC[top : max(top, y + reach + 1), left : max(left, x + reach + 1)]
        if not window.size:
            return (left, top), np.zeros(window.shape[:2], bool)
        alike = self.tables[n][_bins(window)].view(np.uint8)
        # two colours that meet have a seam of mixed ones between them
        alike = cv2.morphologyEx(alike, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(alike, connectivity=4)
        if count < 2:
            return (left, top), np.zeros(window.shape[:2], bool)
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        area = (labels == largest).astype(np.uint8)
        outline, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return (left, top), cv2.drawContours(area, outline, -1, 1, cv2.FILLED).astype(bool)


def _bins(picture_HWC: ByteArray) -> npt.NDArray[np.uint16]:
    small = (picture_HWC // BIN).astype(np.uint16)
    index: npt.NDArray[np.uint16] = (small[..., 0] * BINS + small[..., 1]) * BINS + small[..., 2]
    return index


def _density(index_K: npt.NDArray[np.uint16]) -> FloatArray:
    """Return the share of each colour, smoothed; zero everywhere when there is no pixel."""
    counts = np.bincount(index_K, minlength=BINS**3).reshape(BINS, BINS, BINS).astype(np.float64)
    smooth = ndimage.gaussian_filter(counts / max(1, index_K.size), SPREAD, mode="constant")
    return np.asarray(smooth.ravel())


def _reach(mask_HW: BoolArray, point: FloatArray) -> float:
    ys, xs = np.nonzero(mask_HW)
    return float(np.hypot(xs - point[0], ys - point[1]).max(initial=1.0))
