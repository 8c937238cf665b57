"""How a file asks to be shown: turned or mirrored by its display matrix, as FFmpeg applies it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, Type

from toraeval.types import ByteArray

# Of the larger entry; FFmpeg, too, takes angles within one degree for a multiple of 90.
_SMALL = 0.0175


class UnsupportedMatrixError(ValueError):
    """A display matrix that no turn by 90 degrees and no mirror gives."""


@dataclass(frozen=True)
class Display:
    """What is done to every frame, in this order.

    Attributes:
        transposed: rows become columns.
        mirrored, flipped: left to right; upside down.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def apply(self, picture_HWC: ByteArray) -> ByteArray:
        """Return the picture as it is to be shown: itself, or a view of it."""
        if self == Display():
            return picture_HWC
        if self.transposed:
            picture_HWC = picture_HWC.transpose(1, 0, 2)
        return picture_HWC[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]

    def size(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self.transposed else (width, height)

    @property
    def degrees(self) -> int | None:
        """Counterclockwise turn, or None where there is a mirror in it."""
        turns = {
            (False, False, False): 0,
            (True, False, True): 90,
            (False, True, True): 180,
            (True, True, False): 270,
        }
        return turns.get((self.transposed, self.mirrored, self.flipped))

    @property
    def note(self) -> str:
        """What was done, in words; empty where nothing was."""
        if self.degrees is not None:
            return (
                f"turned by {self.degrees} degrees counterclockwise, as the file asks" if self.degrees else ""
            )
        words = {
            (False, True, False): "mirrored left to right",
            (False, False, True): "flipped upside down",
            (True, False, False): "mirrored at its diagonal",
            (True, True, True): "mirrored at its other diagonal",
        }
        return f"{words[self.transposed, self.mirrored, self.flipped]}, as the file asks"


def display_of(frame: av.VideoFrame) -> Display:
    """Return what the frame's display matrix asks for.

    Raises:
        UnsupportedMatrixError: another angle, a shear or no area.
    """
    for data in cast(Iterable[SideData], frame.side_data):
        if data.type == Type.DISPLAYMATRIX:
            return from_matrix(np.frombuffer(bytes(data), dtype=np.int32, count=9).reshape(3, 3))
    return Display()


def from_matrix(matrix_33: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Display:
    """Read a display matrix: a point (x, y, 1) times the matrix is where it is shown.

    Raises:
        UnsupportedMatrixError: another angle, a shear or no area.
    """
    (a, b), (c, d) = matrix_33[:2, :2].astype(np.float64)
    straight, across = min(abs(a), abs(d)), min(abs(b), abs(c))
    if straight > 0 and max(abs(b), abs(c)) <= _SMALL * straight:
        return Display(False, bool(a < 0), bool(d < 0))
    if across > 0 and max(abs(a), abs(d)) <= _SMALL * across:
        return Display(True, bool(c < 0), bool(b < 0))
    size = max(abs(a), abs(b), abs(c), abs(d))
    if size == 0:
        asked = "without any area: its display matrix is zero"
    elif max(abs(a - d), abs(b + c)) <= _SMALL * size:
        asked = f"turned by {np.degrees(np.arctan2(b, a)):.1f} degrees"
    else:
        asked = f"sheared or squeezed, by the display matrix [[{a:.6g}, {b:.6g}], [{c:.6g}, {d:.6g}]] / 65536"
    raise UnsupportedMatrixError(
        f"the file asks to be shown {asked}; allowed are turns by multiples of 90 degrees, and mirrors"
    )
