"""Every way in which a trajectory error is read in the field, as one parametrised function.

"Average L1 distance between the predefined and the generated trajectories" (Tora, arXiv 2407.21705) leaves
open which frames count, what an invisible point does, how points are pooled and whether the two axes are
summed or averaged; no evaluation code was published. The choices below cover the definitions found in papers
and released scripts, so that a number of either kind can be recomputed from the same tracks.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from toraeval.geometry import inside_canvas
from toraeval.types import BoolArray, FloatArray, UserError

DISTANCES = ("l1", "l1_half", "l2", "x", "y")
VISIBILITY = ("any", "target", "tracker", "both")


@dataclass(frozen=True)
class Reading:
    """One definition of the trajectory error.

    Attributes:
        distance: `l1` |dx|+|dy|; `l1_half` their mean, what an L1 loss returns; `l2` Euclidean;
            `x`, `y` one axis.
        skip_query: leave out frame 0, where the tracker is given the answer.
        visible: which points count: `any`, those whose `target` is visible, those the `tracker` calls
            visible, or `both`.
        inside: leave out points whose target lies off the picture.
        needs_query: leave out objects whose target is hidden or off the picture in frame 0, where there is
            nothing to follow.
        pooling: `points` one mean over all points; `per_object` frames, then objects; `per_frame` objects,
            then frames; `rms` root of the mean square; `final` last counted frame of each object, then
            objects; `max_per_object` worst frame, then objects; `survival` share of frames before the
            distance first exceeds `threshold`, then objects.
        truncate: cut coordinates to integers first, as DragAnything's ObjMC script does
            (showlab/DragAnything 04c2382, `utils/Eval_ObjMC/ObjMC.py`).
        from_start: score a point that never leaves its start instead of the tracked one.
        canvas: side of the square canvas to which both tracks are mapped first, or None for pixels as given.
        threshold: pixels, for `survival` only.
    """

    distance: str = "l1"
    skip_query: bool = True
    visible: str = "target"
    inside: bool = True
    needs_query: bool = True
    pooling: str = "per_object"
    truncate: bool = False
    from_start: bool = False
    canvas: int | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        for field, value, allowed in (
            ("distance", self.distance, DISTANCES),
            ("visible", self.visible, VISIBILITY),
            ("pooling", self.pooling, tuple(_POOLS)),
        ):
            if value not in allowed:
                raise UserError(f"reading: {field} must be one of {', '.join(allowed)}, but got {value!r}")
        if (self.pooling == "survival") != (self.threshold is not None):
            raise UserError("reading: a threshold in pixels goes with pooling 'survival' and with no other")


@dataclass(frozen=True)
class Measured:
    """What one reading gives.

    Attributes:
        value: the pooled number, NaN when no point counts.
        error_NT: float64 distance of every counted point, NaN elsewhere.
        curve_T: float64 mean over the counted points of each frame, NaN where none counts.
    """

    value: float
    error_NT: FloatArray
    curve_T: FloatArray


def offsets(target_NT2: FloatArray, tracked_NT2: FloatArray) -> FloatArray:
    """Return the signed `(dx, dy)` from target to tracked point in pixels, float64."""
    return np.asarray(tracked_NT2, dtype=np.float64) - np.asarray(target_NT2, dtype=np.float64)


def distances(offset_NT2: FloatArray, distance: str) -> FloatArray:
    """Return the length of every offset under one of `DISTANCES`, in the offsets' unit."""
    dx, dy = np.abs(offset_NT2[..., 0]), np.abs(offset_NT2[..., 1])
    if distance == "l2":
        return np.hypot(dx, dy)
    if distance in ("x", "y"):
        return dx if distance == "x" else dy
    return (dx + dy) / 2 if distance == "l1_half" else dx + dy


def counted_points(
    reading: Reading,
    target_NT2: FloatArray,
    target_visible_NT: BoolArray,
    tracked_visible_NT: BoolArray,
    width: int,
    height: int,
) -> BoolArray:
    """Return which points a reading counts, bool (N, T)."""
    counted = np.ones(target_NT2.shape[:2], dtype=bool)
    if reading.visible in ("target", "both"):
        counted &= target_visible_NT
    if reading.visible in ("tracker", "both"):
        counted &= tracked_visible_NT
    inside = inside_canvas(target_NT2, (width, height))
    if reading.inside:
        counted &= inside
    if reading.needs_query:
        counted &= (target_visible_NT & inside)[:, :1]
    if reading.skip_query:
        counted[:, :1] = False
    return counted


def measure(
    reading: Reading,
    target_NT2: FloatArray,
    tracked_NT2: FloatArray,
    target_visible_NT: BoolArray,
    tracked_visible_NT: BoolArray,
    size: tuple[int, int],
) -> Measured:
    """Score tracked points against their target under one reading.

    Args:
        reading: the definition.
        target_NT2, tracked_NT2: `(x, y)` in pixels of the same picture.
        target_visible_NT, tracked_visible_NT: bool.
        size: `(width, height)` of the picture in pixels.

    Returns:
        The pooled value and the arrays it was pooled from.
    """
    target = np.asarray(target_NT2, dtype=np.float64)
    tracked = np.asarray(tracked_NT2, dtype=np.float64)
    counted = counted_points(reading, target, target_visible_NT, tracked_visible_NT, *size)
    if reading.from_start:
        tracked = np.broadcast_to(target[:, :1], target.shape)
    if reading.canvas is not None:
        scale = reading.canvas / np.array(size, dtype=np.float64)
        target, tracked = target * scale, tracked * scale
    if reading.truncate:
        target, tracked = np.trunc(target), np.trunc(tracked)
    error = np.where(counted, distances(offsets(target, tracked), reading.distance), np.nan)
    return Measured(pool(error, reading.pooling, reading.threshold), error, mean_over(error, axis=0))


def mean_over(values: FloatArray, axis: int) -> FloatArray:
    """Return the mean of the finite numbers along an axis, NaN where there are none (and no warning)."""
    present = np.isfinite(values)
    total = np.where(present, values, 0.0).sum(axis=axis)
    count = present.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def final_errors(error_NT: FloatArray) -> FloatArray:
    """Return each object's error in its last counted frame, NaN for an object without one; shape (N,)."""
    present = np.isfinite(error_NT)
    if not present.size:
        return np.full(error_NT.shape[0], np.nan)
    last = present.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
    final: FloatArray = error_NT[np.arange(error_NT.shape[0]), last]
    return final


def pool(error_NT: FloatArray, pooling: str, threshold: float | None = None) -> float:
    """Reduce counted errors (NaN = not counted) to one number; NaN when nothing is counted."""
    return float(_POOLS[pooling](error_NT, threshold or 0.0))


def alive(error_NT: FloatArray, threshold: float) -> FloatArray:
    """Return 1 until an error first exceeds the threshold, 0 from there on, NaN where nothing is counted."""
    present = np.isfinite(error_NT)
    within = np.where(present, error_NT <= threshold, True)
    return np.where(present, np.minimum.accumulate(within, axis=1), np.nan)


def _worst(error_NT: FloatArray) -> FloatArray:
    present = np.isfinite(error_NT)
    worst_N = np.where(present, error_NT, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(present.any(axis=1), worst_N, np.nan)


_POOLS: dict[str, Callable[[FloatArray, float], FloatArray]] = {
    "points": lambda error_NT, _: mean_over(error_NT.ravel(), axis=0),
    "per_object": lambda error_NT, _: mean_over(mean_over(error_NT, axis=1), axis=0),
    "per_frame": lambda error_NT, _: mean_over(mean_over(error_NT, axis=0), axis=0),
    "rms": lambda error_NT, _: np.sqrt(mean_over(np.square(error_NT).ravel(), axis=0)),
    "final": lambda error_NT, _: mean_over(final_errors(error_NT), axis=0),
    "max_per_object": lambda error_NT, _: mean_over(_worst(error_NT), axis=0),
    "survival": lambda error_NT, px: mean_over(mean_over(alive(error_NT, px), axis=1), axis=0),
}
_ALL = Reading("l1", skip_query=False, visible="any", inside=False, needs_query=False, pooling="points")
_L2 = replace(_ALL, distance="l2")
_SEEN = replace(_L2, visible="target")

READINGS: MappingProxyType[str, Reading] = MappingProxyType(
    {
        "traj_error_v1": Reading(),
        "l1_sum_xy__all_frames": _ALL,
        "l1_sum_xy__skip_frame0": replace(_ALL, skip_query=True),
        "l1_mean_xy__all_frames": replace(_ALL, distance="l1_half"),
        "l2__all_frames": _L2,
        "l2__skip_frame0": replace(_L2, skip_query=True),
        "l2__gt_visible": _SEEN,
        "l2__gt_visible__skip_frame0": replace(_SEEN, skip_query=True),
        "l2__pred_visible": replace(_L2, visible="tracker"),
        "l2__both_visible": replace(_L2, visible="both"),
        "l2__gt_visible__per_track_mean": replace(_SEEN, pooling="per_object"),
        "l2__gt_visible__per_frame_mean": replace(_SEEN, pooling="per_frame"),
        "rmse_xy": replace(_L2, pooling="rms"),
        "objmc_draganything_int_truncated": replace(_L2, truncate=True),
        "final_displacement_error": replace(_L2, pooling="final"),
        "mean_of_max_error": replace(_L2, pooling="max_per_object"),
        "survival_16px": replace(_L2, pooling="survival", threshold=16.0),
        "survival_50px": replace(_L2, pooling="survival", threshold=50.0),
        "static_baseline_l2": replace(_L2, from_start=True),
    }
)
"""Definitions found in the wild, by the name under which the reference values list them."""
