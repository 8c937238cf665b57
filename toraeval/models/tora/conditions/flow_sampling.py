"""Motion of a training clip from its optical flow: dense as estimated, or sparse trajectories sampled from it.

Stage one of Tora's recipe shows the model the whole flow, stage two the paths of a few points that are carried along
by it. The rules are those of alibaba/Tora 9a23dce, `sat/train_video.py` (Apache-2.0), reimplemented from their
description, with two guards: a clip without motion gives no trajectory, and no more points are drawn than move
(upstream fails in both cases). The blur ends in zeros at the border here, but mirrors in inference, as upstream.

Shape legend: N points, K grid points, T frames, H height, W width. Flow arrays have T frames, of which frame 0 is zero
and frame t holds the motion from t - 1 to t at the pixels of t - 1.
"""

from __future__ import annotations

import numpy as np

from toraeval.models.shared.flow_colour import Float32Array
from toraeval.models.shared.trajectory import IntArray
from toraeval.types import FloatArray, UserError

GRID_SPACING = 32  # pixels between points that may be drawn
MAX_POINTS = 16


def check_flow(flow_THW2: Float32Array) -> None:
    """Refuse what is not a flow.

    Raises:
        UserError: an array of another shape than (any, H, W, 2), or numbers that are not finite.
    """
    if flow_THW2.ndim != 4 or flow_THW2.shape[-1] != 2:
        raise UserError(f"flow: array of shape {flow_THW2.shape}; allowed: (frames, height, width, 2)")
    if not all(np.isfinite(frame).all() for frame in flow_THW2):
        raise UserError("flow: it holds NaN or infinite numbers; estimate it again or leave the clip out")


def with_zero_frame(flow_PHW2: Float32Array) -> Float32Array:
    """Put the zero frame in front of the flow (T - 1, H, W, 2) of all frame pairs; float32 (T, H, W, 2) in pixels.

    Raises:
        UserError: see `check_flow`.
    """
    flow = np.asarray(flow_PHW2, np.float32)
    check_flow(flow)
    return np.concatenate([np.zeros((1, *flow.shape[1:]), np.float32), flow])


def grid_candidates(
    flow_HW2: Float32Array, offset: tuple[int, int], spacing: int = GRID_SPACING
) -> tuple[IntArray, FloatArray]:
    """List the points of a grid with their chances.

    Args:
        flow_HW2: motion of the first frame pair, pixels.
        offset: (x, y) of the first grid point, each below `spacing`.
        spacing: pixels between grid points.

    Returns:
        int64 (K, 2) points `(x, y)`, row by row, and float64 (K,) chances in proportion to the length of the motion,
        which sum to 1, or to 0 where nothing moves.
    """
    x0, y0 = offset
    height, width = flow_HW2.shape[:2]
    y, x = np.meshgrid(np.arange(y0, height, spacing), np.arange(x0, width, spacing), indexing="ij")
    lengths = np.linalg.norm(flow_HW2[y, x].astype(np.float64), axis=-1).ravel()
    total = lengths.sum()
    return np.stack([x.ravel(), y.ravel()], -1), lengths / total if total > 0 else lengths


def draw_starts(
    flow_HW2: Float32Array, generator: np.random.Generator, max_points: int = MAX_POINTS
) -> IntArray:
    """Draw 1 to `max_points` start points of one grid, without replacement, the more likely the faster they move.

    Args:
        flow_HW2: motion of the first frame pair, pixels.
        generator: source of the draws: the grid's offset, the number of points, the points.
        max_points: largest number.

    Returns:
        int64 (N, 2) pixels `(x, y)`; fewer than drawn where fewer grid points move, none where none does.
    """
    # a smaller picture gets a grid of its own shorter side, so that any offset leaves at least one grid point
    spacing = min(GRID_SPACING, *flow_HW2.shape[:2])
    y0, x0 = generator.integers(0, spacing, 2)
    points, chances = grid_candidates(flow_HW2, (int(x0), int(y0)), spacing)
    count = min(int(generator.integers(1, max_points + 1)), int(np.count_nonzero(chances)))
    if count == 0:
        return np.zeros((0, 2), np.int64)
    return points[generator.choice(len(points), count, replace=False, p=chances)]


def roll_out(flow_THW2: Float32Array, starts_N2: IntArray) -> IntArray:
    """Carry points along the flow in whole pixels: each step is truncated toward zero and ends inside the picture.

    Args:
        flow_THW2: motion, frame 0 zero; pixels.
        starts_N2: int pixels `(x, y)` of frame 0.

    Returns:
        int64 (N, T, 2); a point that moves less than one pixel per frame stays.
    """
    frames, height, width = flow_THW2.shape[:3]
    points = np.empty((len(starts_N2), frames, 2), np.int64)
    points[:, 0] = starts_N2
    for t in range(1, frames):
        x, y = points[:, t - 1].T
        step = np.trunc(flow_THW2[t, y, x]).astype(np.int64)
        points[:, t] = np.clip(points[:, t - 1] + step, 0, [width - 1, height - 1])
    return points


def sample_trajectories(flow_THW2: Float32Array, generator: np.random.Generator) -> IntArray:
    """Draw start points and carry them along; int64 (N, T, 2), N from 0 (a clip at rest) to `MAX_POINTS`.

    Raises:
        UserError: a single frame.
    """
    if len(flow_THW2) < 2:
        raise UserError(f"flow: {len(flow_THW2)} frame; trajectories need at least 2")
    return roll_out(flow_THW2, draw_starts(flow_THW2[1], generator))
