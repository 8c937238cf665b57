"""The parts of a picture around the paths, and how much a tracked object there still looks like itself.

Shape legend: N objects, T frames, P patch side.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.metrics.shared.paths import Paths
from toraeval.types import BoolArray, ByteArray, Case, FloatArray, Video

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


PATCH_REACH = 0.06
"""Radius of the round patch in units of the shorter side: 31 px of 512, 15 px of 256."""

MIN_CONTRAST = 3.0
"""Standard deviation in 8-bit levels below which a patch of frame 0 has no structure to recognise."""

RING_REACH = 0.2
"""The surroundings of an object lie between `OBJECT_REACH` and this many times the shorter side from it."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """Similarity of each counted patch to its object's patch in frame 0; NaN where nothing is compared.

    Attributes:
        correlation_NT: normalised cross-correlation of both patches, -1 to 1.
        colour_NT: mean absolute difference over pixels and channels, 8-bit levels.
        contrast_N: standard deviation of the patch in frame 0, 8-bit levels.
        surroundings_N: mean absolute difference of the patch in frame 0 from the colour around the object.
    """

    correlation_NT: FloatArray
    colour_NT: FloatArray
    contrast_N: FloatArray
    surroundings_N: FloatArray

    @property
    def recognisable_N(self) -> BoolArray:
        """Objects with enough structure in frame 0, and different enough from what is around them."""
        return np.asarray((self.contrast_N >= MIN_CONTRAST) & (self.surroundings_N >= MIN_CONTRAST))

    @property
    def faded_NT(self) -> FloatArray:
        """How far each patch is on the way to the surroundings: 0 unchanged, 1 as different as they are."""
        return np.asarray(self.colour_NT / np.maximum(self.surroundings_N, MIN_CONTRAST)[:, None])


_latest: tuple[weakref.ref[Case], weakref.ref[Video], Paths, Likeness] | None = None


def likeness(case: Case, paths: Paths, video: Video) -> Likeness:
    """Compare the patch at every counted tracked point with that of the object in frame 0.

    The look in frame 0 comes from the case's own first frame where it has one, else from the clip; the patch is cut
    with bilinear interpolation, pixels beyond the border repeat it. What was compared last is remembered: two metrics
    ask for it.
    """
    global _latest
    if (latest := _latest) is not None:  # threads may score at once
        of_case, of_video, known, found = latest
        if of_case() is case and of_video() is video and _same(known, paths):
            return found
    found = _compared(case, paths, video)
    _latest = weakref.ref(case), weakref.ref(video), paths, found
    return found


def _same(one: Paths, other: Paths) -> bool:
    return (
        np.array_equal(one.tracked_NT2, other.tracked_NT2)
        and np.array_equal(one.target_NT2, other.target_NT2)
        and np.array_equal(one.counted_NT, other.counted_NT)
    )


def _compared(case: Case, paths: Paths, video: Video) -> Likeness:
    given = case.first_frame_HWC
    first = np.ascontiguousarray(video.thwc[0] if given is None else given)
    reach = max(2, round(PATCH_REACH * min(paths.size)))
    offset = np.arange(-reach, reach + 1)
    round_PP = offset[:, None] ** 2 + offset[None] ** 2 <= reach**2
    starts = paths.target_NT2[:, 0]
    patches = [_cut(first, start, reach)[round_PP] for start in starts]
    around = [_surroundings(first, start, paths.size) for start in starts]
    looks = [_centred(patch) for patch in patches]
    shape = paths.counted_NT.shape
    correlation_NT, colour_NT = np.full(shape, np.nan), np.full(shape, np.nan)
    for t in np.flatnonzero(paths.counted_NT.any(axis=0)):
        frame = np.ascontiguousarray(video.thwc[t])
        for n in np.flatnonzero(paths.counted_NT[:, t]):
            mean, structure, norm = looks[n]
            own_mean, own, own_norm = _centred(_cut(frame, paths.tracked_NT2[n, t], reach)[round_PP])
            # a patch without any structure has nothing in common with one that has
            product, shared = norm * own_norm, float((structure * own).sum())
            correlation_NT[n, t] = min(1.0, max(-1.0, shared / product)) if product > 0 else 0.0
            colour_NT[n, t] = float(np.abs((own + own_mean) - (structure + mean)).mean())
    contrast_N = np.array([norm / np.sqrt(structure.size) for _, structure, norm in looks])
    surroundings_N = np.array([np.abs(p - a).mean() for p, a in zip(patches, around, strict=True)])
    return Likeness(correlation_NT, colour_NT, contrast_N, surroundings_N)


def _cut(frame_HWC: Any, centre: FloatArray, reach: int) -> Floats:
    side = 2 * reach + 1
    height, width = frame_HWC.shape[:2]
    # a point far outside sees the border only, wherever it is
    x, y = np.clip(centre, -side, [width + side, height + side])
    return cv2.getRectSubPix(frame_HWC, (side, side), (float(x), float(y)), patchType=cv2.CV_32F)


def _surroundings(frame_HWC: ByteArray, centre: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return the median colour of the ring just outside what an object can cover, float64 (3,)."""
    y, x = np.ogrid[: size[1], : size[0]]
    distance = np.hypot(x - centre[0], y - centre[1]) / min(size)
    ring = (distance > OBJECT_REACH) & (distance <= RING_REACH)
    # an object that starts off the picture is never compared, whatever its colour here
    pixels = frame_HWC[ring] if ring.any() else frame_HWC.reshape(-1, 3)
    return np.asarray(np.median(pixels, axis=0), dtype=np.float64)


def _centred(pixels_K3: Floats) -> tuple[FloatArray, FloatArray, float]:
    """Return the mean colour, the pixels without it, and their norm."""
    pixels = pixels_K3.astype(np.float64)
    mean = pixels.mean(axis=0)
    structure = pixels - mean
    # numpy's own sums: those of a BLAS library may depend on its number of threads
    return mean, structure, float(np.sqrt(np.square(structure).sum()))
