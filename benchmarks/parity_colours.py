"""How far two colour pictures of one flow may be apart: where the code jumps, a last bit is worth many levels.

The colour code has two jumps. At the clip's largest motion a level may come out one rounding below 0 and wraps to 255.
And where motion points to the right, the sign of a vertical component of almost 0 decides between the two ends of the
wheel, which are 43 levels of blue apart. Everywhere else colours are equal up to one level.

Shape legend: T frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.parity_data import FLOW, Recording, Row

LEVEL = 1.0
SEAM_LEVELS = 43.0  # between the first and the last colour of the wheel, in blue alone
PEAK = 1e-6  # share of the largest motion; a correctly rounded root differs from others by less
ONE_LEVEL_SHARE = 5e-4  # share of values that a normaliser of another last bit moves by one level
OTHER_BLUR_SHARE = 0.02  # the same where the flow was blurred by another routine


class Jumps(NamedTuple):
    """Where pictures of a flow may differ: at the peaks (bool) and by how many levels of blue (float), both (T,H,W)."""

    peaks: npt.NDArray[np.bool_]
    seam: npt.NDArray[np.float64]

    def part(self, *index: slice) -> Jumps:
        """Return the jumps of a part of the picture."""
        return Jumps(self.peaks[index], self.seam[index])


def jumps(flow_THW2: npt.NDArray[np.float32], frames_per_maximum: int | None = None) -> Jumps:
    """Return where the colours of a flow (pixels) jump; the groups of frames are those of `flow_video`."""
    radius = np.linalg.norm(flow_THW2.astype(np.float64), axis=-1)
    group = frames_per_maximum or max(len(radius), 1)
    largest = np.zeros((len(radius), 1, 1))
    for start in range(0, len(radius), group):
        largest[start : start + group] = max(radius[start : start + group].max(), 1e-12)
    peaks = radius >= largest * (1 - PEAK)
    flat = np.abs(flow_THW2[..., 1]) <= FLOW * np.abs(flow_THW2).max()
    rightwards = flow_THW2[..., 0] > 0
    return Jumps(peaks, np.where(flat & rightwards, SEAM_LEVELS * radius / largest, 0.0))


def level_difference(
    ours_THW3: npt.NDArray[np.uint8], recorded_THW3: npt.NDArray[np.uint8], where: Jumps
) -> float:
    """Return the largest difference in levels, without what a jump explains."""
    if ours_THW3.shape != recorded_THW3.shape:
        return float("inf")
    apart = np.abs(ours_THW3.astype(np.float64) - recorded_THW3)
    apart[where.peaks[..., None] & (apart == 255)] = 0
    apart[..., 2] = np.maximum(apart[..., 2] - where.seam, 0)
    return float(apart.max(initial=0.0))


def sum_difference(
    ours_THW3: npt.NDArray[np.uint8], recorded_T3: npt.NDArray[np.int64], where: Jumps
) -> float:
    """Return by how much the sums of levels per frame and colour differ beyond what the jumps explain."""
    apart = np.abs(ours_THW3.sum((1, 2), dtype=np.float64) - recorded_T3)
    apart -= 255.0 * where.peaks.sum((1, 2))[:, None]
    apart[:, 2] -= where.seam.sum((1, 2))
    return float(apart.max(initial=0.0).clip(0))


def sum_allowance(ours_THW3: npt.NDArray[np.uint8]) -> float:
    """Return how many levels the sum of one frame may be off because single values are off by one."""
    return float(np.ceil(ONE_LEVEL_SHARE * ours_THW3.shape[1] * ours_THW3.shape[2])) + LEVEL


def colour_rows(
    recorded: Recording,
    names: tuple[str, ...],
    video_THW3: npt.NDArray[np.uint8],
    where: Jumps,
    extra_levels: float = 0.0,
) -> Iterator[Row]:
    """Compare recorded pictures and their sums, as far as the file has them.

    Args:
        recorded: the file.
        names: arrays (T,3,h,w), every n-th row and column of the picture, or (T,3), sums over it.
        video_THW3: our picture.
        where: the jumps of its flow.
        extra_levels: allowed on top, where the flow itself was computed by another routine.
    """
    for name in (name for name in names if name in recorded):
        expected = recorded.array(name)
        if expected.ndim == 2:
            allowed = sum_allowance(video_THW3) + extra_levels * OTHER_BLUR_SHARE * video_THW3[0, ..., 0].size
            yield Row(name, sum_difference(video_THW3, expected, where), allowed)
            continue
        step = -(-video_THW3.shape[1] // expected.shape[2])
        part = (slice(None), slice(None, None, step), slice(None, None, step))
        kept = where.part(*part)
        theirs = expected.transpose(0, 2, 3, 1)
        yield Row(name, level_difference(video_THW3[part], theirs, kept), LEVEL + extra_levels)
