"""A frame as trackers look at it: grey for optical flow, colours at several scales, converted where they are needed.

Colours are 8-bit CIE Lab as OpenCV stores it (L 0..255, a and b around 128).
"""

from __future__ import annotations

import cv2
import numpy as np

from toraeval.types import ByteArray

_TILE = 32  # side of the squares that Lab is converted in, pixels


class LabPicture:
    """uint8 Lab (H, W, 3) of a picture, converted or reduced where it is looked at.

    Args:
        source: uint8 RGB, or the Lab of the whole size that is to be reduced.
        scale: integer factor of the reduction (area average), 1 of RGB.
    """

    def __init__(self, source: ByteArray | LabPicture, scale: int = 1) -> None:
        self._source, self._scale = source, scale
        height, width = (-(-side // scale) for side in source.shape[:2])
        self._lab = np.empty((height, width, 3), np.uint8)
        self._done = np.zeros((-(-height // _TILE), -(-width // _TILE)), bool)
        self.shape: tuple[int, ...] = self._lab.shape

    def part(self, top: int, left: int, bottom: int, right: int) -> ByteArray:
        """Return a part of the picture, which must lie inside it."""
        first_y, first_x, last_y, last_x = (
            top // _TILE,
            left // _TILE,
            -(-bottom // _TILE),
            -(-right // _TILE),
        )
        done = self._done[first_y:last_y, first_x:last_x]
        if not done.all():
            box = [first_y * _TILE, first_x * _TILE, last_y * _TILE, last_x * _TILE]
            self._lab[box[0] : box[2], box[1] : box[3]] = self._made(*box)
            done[:] = True
        return self._lab[top:bottom, left:right]

    def whole(self) -> ByteArray:
        """Return all of it."""
        return self.part(0, 0, *self.shape[:2])

    def _made(self, *box: int) -> ByteArray:
        source, scale = self._source, self._scale
        top, left, bottom, right = (side * scale for side in box)
        if not isinstance(source, LabPicture):
            rgb = np.ascontiguousarray(source[top:bottom, left:right])
            return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab), np.uint8)
        lab = source.part(top, left, min(bottom, source.shape[0]), min(right, source.shape[1]))
        below, beside = -lab.shape[0] % scale, -lab.shape[1] % scale
        if below or beside:
            lab = cv2.copyMakeBorder(lab, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        size = (lab.shape[1] // scale, lab.shape[0] // scale)
        return np.asarray(cv2.resize(lab, size, interpolation=cv2.INTER_AREA), np.uint8)


class FrameView:
    """One frame: grey for optical flow, Lab at several scales for the template.

    Args:
        rgb_HW3: uint8 RGB.
    """

    def __init__(self, rgb_HW3: ByteArray) -> None:
        self.rgb_HW3 = np.ascontiguousarray(rgb_HW3)
        self.height, self.width = self.rgb_HW3.shape[:2]
        self.grey_HW = np.asarray(cv2.cvtColor(self.rgb_HW3, cv2.COLOR_RGB2GRAY), np.uint8)
        self._lab = {1: LabPicture(self.rgb_HW3)}

    def lab_parts(self, scale: int) -> LabPicture:
        """Return Lab reduced by an integer factor, of which only what is asked for is converted."""
        if scale not in self._lab:
            self._lab[scale] = LabPicture(self._lab[1], scale)
        return self._lab[scale]

    def lab(self, scale: int) -> ByteArray:
        """Return uint8 Lab reduced by an integer factor (area average)."""
        return self.lab_parts(scale).whole()
