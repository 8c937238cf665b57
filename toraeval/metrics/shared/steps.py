"""Movement of target and tracked point over one stretch of time, the same stretch of the path at every length.

Shape legend: N objects, T frames, S steps that end in frames `lag` .. T - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toraeval.metrics.shared.paths import Paths
from toraeval.types import BoolArray, FloatArray

STRETCHES = 15
"""A step spans a fifteenth of the clip: one frame of 16, four of 64, eight of 128."""

MIN_MOVE = 1.0
"""A target that moves less in a step, pixels of a 256-pixel raster, stands still: it has no direction."""


@dataclass(frozen=True)
class Steps:
    """What target and tracked point did in each step.

    Attributes:
        lag: frames per step.
        target_NS2, tracked_NS2: float64 displacements in pixels of the scored size.
        counted_NS: bool, both ends of the step count; the query frame may be the earlier end.
        moving_NS: bool, of these the steps in which the target moves.
        min_move: pixels of the scored size from which a target moves.
    """

    lag: int
    target_NS2: FloatArray
    tracked_NS2: FloatArray
    counted_NS: BoolArray
    moving_NS: BoolArray
    min_move: float


def steps_of(paths: Paths) -> Steps:
    """Return the steps of a case."""
    frames = paths.counted_NT.shape[1]
    lag = max(1, (frames - 1) // STRETCHES)
    ends = paths.counted_NT.copy()
    ends[:, 0] = ends.any(axis=1)  # a scored object has a visible target in frame 0
    target = paths.target_NT2[:, lag:] - paths.target_NT2[:, :-lag]
    tracked = paths.tracked_NT2[:, lag:] - paths.tracked_NT2[:, :-lag]
    counted = ends[:, lag:] & ends[:, :-lag]
    min_move = MIN_MOVE * paths.raster_px
    moving = counted & (np.linalg.norm(target, axis=-1) >= min_move)
    return Steps(lag, target, tracked, counted, moving, min_move)


def travelled(steps: Steps) -> tuple[FloatArray, FloatArray]:
    """Return how far target and tracked point of each object travel over the counted steps, float64 (N,) pixels.

    Steps follow each other without overlap, so that sub-pixel jitter of the tracker does not add up.

    Returns:
        `(asked_N, seen_N)`; both NaN for an object whose target stands still throughout.
    """
    chosen = slice(None, None, steps.lag)
    counted = steps.counted_NS[:, chosen]
    asked_N, seen_N = (
        np.where(counted, np.linalg.norm(moves[:, chosen], axis=-1), 0.0).sum(axis=1)
        for moves in (steps.target_NS2, steps.tracked_NS2)
    )
    moves_N = asked_N >= steps.min_move
    return np.where(moves_N, asked_N, np.nan), np.where(moves_N, seen_N, np.nan)
