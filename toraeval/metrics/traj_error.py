"""TrajError: how far the tracked object is from the path it was asked to follow, and the same with a rule for loss.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from toraeval import registry
from toraeval.metrics.shared.arrays import points, visibility
from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import ERROR
from toraeval.metrics.shared.paths import V1, Further, PathMetric, Paths, ReadingMetric, per_object
from toraeval.metrics.shared.readings import READINGS, Measured, distances, measure, offsets
from toraeval.types import Case, UserError


class TrajError(ReadingMetric):
    """TrajError v1, the average L1 distance between the given and the tracked path (Tora, arXiv 2407.21705).

    For the set S_n of scored frames of object n, target g and tracked point p in pixels of the scored size:

        traj_error = mean over cases of mean over n of mean over t in S_n of |p_x - g_x| + |p_y - g_y|

    Lower is better; 0 is perfect; the unit is one pixel of the scored video. Left out of S_n: frame 0, where
    the tracker is given the answer; frames whose target is hidden or off the picture; every frame of an object
    whose target is hidden or off the picture in frame 0, where there is nothing to follow. A point that the
    tracker calls lost still counts with its last place; `tracked_visible` tells how often that happened. The
    paper publishes neither tracker nor formula nor pixel frame, hence a definition of our own with a version.
    """

    name = "traj_error"
    version = "1"
    direction = "lower"
    units = "px"
    units_in_full = "pixels of the scored size; (x, y), origin top-left, pixel centres at integers"
    formula = "mean_case mean_object mean_frame (|p_x - g_x| + |p_y - g_y|), p tracked, g target"
    lost_points = "count with the place the tracker reports; see tracked_visible"
    readings = {
        "traj_error": V1,
        "traj_error_l2": replace(V1, distance="l2"),
        "traj_error_half": replace(V1, distance="l1_half"),
        "traj_error_x": replace(V1, distance="x"),
        "traj_error_y": replace(V1, distance="y"),
        "traj_error_final": replace(V1, pooling="final"),
        "traj_error_256": replace(V1, canvas=256),
        "static_error": replace(V1, from_start=True),
    }
    details = {
        "failures": "a case without video or tracks has no value; it is counted, never scored as 0",
        "reading": asdict(V1),
    }
    columns = {
        "traj_error": "mean |dx|+|dy| in pixels of the scored size",
        "traj_error_l2": "traj_error, but: Euclidean distance instead of |dx|+|dy|",
        "traj_error_half": "traj_error, but: (|dx|+|dy|)/2, what an L1 loss returns",
        "traj_error_x": "traj_error, but: |dx| alone",
        "traj_error_y": "traj_error, but: |dy| alone",
        "traj_error_final": "traj_error, but: traj_error in the last scored frame of each object",
        "traj_error_256": "traj_error, but: traj_error after mapping both paths to a 256 x 256 canvas "
        "(x*256/width, y*256/height)",
        "static_error": "traj_error of a point that never leaves its start; depends on the target only",
        "traj_error_diagonal": "traj_error divided by the diagonal of the scored size; no unit",
        "tracked_visible": "share of scored points that the tracker itself calls visible (0 to 1)",
        "n_objects": "objects with at least one scored frame",
        "scored_points": "points (object x frame) that count",
    }
    source = (
        "Tora, arXiv 2407.21705: average L1 distance between predefined and generated trajectories; tracker, "
        "formula and pixel frame are not published"
    )
    expected = {"traj_error": ERROR}

    def further(self, paths: Paths, found: Mapping[str, Measured]) -> Further:
        """Return what `columns` names besides readings, and arrays, NaN where a point is not scored.

        The arrays are `offset_NT2` signed pixels, `errors_NT`, `tracked_visible_NT` (1 or 0), `error_T` mean over
        objects, `static_error_T`.
        """
        main, scored = found["traj_error"], paths.counted_NT
        seen_NT = np.where(scored, paths.seen_NT.astype(np.float64), np.nan)
        values = {
            "traj_error_diagonal": main.value / math.hypot(*paths.size),
            "tracked_visible": per_object(seen_NT),
            "n_objects": float(scored.any(axis=1).sum()),
            "scored_points": float(scored.sum()),
        }
        return values, {
            "offset_NT2": np.where(scored[..., None], offsets(paths.target_NT2, paths.tracked_NT2), np.nan),
            "errors_NT": main.error_NT,
            "tracked_visible_NT": seen_NT,
            "error_T": main.curve_T,
            "static_error_T": found["static_error"].curve_T,
        }


def traj_error(
    tracks: Any,
    target: Any,
    size: tuple[int, int],
    *,
    target_visible: Any = None,
    tracked_visible: Any = None,
    reading: str = "traj_error_v1",
) -> float:
    """Return how far tracked points are from where they should be, as the metric `traj_error` measures one case.

    Args:
        tracks: where the points were seen, `(x, y)` pixels, (N, T, 2) or (T, 2); NumPy array, torch tensor on any
            device, or nested lists. Computed in float64; no gradient flows through it.
        target: where they should be, of the same shape.
        size: `(width, height)` of the picture in pixels; targets outside it do not count.
        target_visible: bool (N, T) or (T,), False where the target is hidden; everywhere visible by default.
        tracked_visible: the same of the tracker's belief; only readings that ask the tracker look at it.
        reading: a name of `toraeval.metrics.shared.readings.READINGS`; `traj_error_v1` is the benchmark's.

    Returns:
        Pixels (a share for `survival_...`), NaN where no point counts; frame 0 never does, the tracker starts there.

    Raises:
        UserError: shapes that differ, a tracked coordinate that is not finite, or an unknown reading.

    Source: as `TrajError`.
    """
    if reading not in READINGS:
        raise UserError(registry.unknown("reading", reading, READINGS))
    tracked_NT2, target_NT2 = points("traj_error: tracks", tracks), points("traj_error: target", target)
    if tracked_NT2.shape != target_NT2.shape:
        raise UserError(
            f"traj_error: tracks {tracked_NT2.shape} and target {target_NT2.shape}; allowed: equal shapes (N, T, 2)"
        )
    own_NT = visibility("traj_error: target_visible", target_visible, target_NT2.shape)
    seen_NT = visibility("traj_error: tracked_visible", tracked_visible, target_NT2.shape)
    for name, points_NT2, needed_NT in (
        ("tracks", tracked_NT2, np.ones_like(own_NT)),
        ("target", target_NT2, own_NT),
    ):
        if not np.isfinite(points_NT2[needed_NT]).all():
            raise UserError(
                f"traj_error: {name} hold a number that is not finite; a lost point keeps its last place and is marked "
                "in tracked_visible, a hidden target in target_visible"
            )
    return measure(READINGS[reading], target_NT2, tracked_NT2, own_NT, seen_NT, size).value


class LostError(PathMetric):
    """TrajError with a rule for lost frames: each counts at least what an object that never left its start would get.

    With p the tracked point, g the target, g_0 its start, and v = 1 where the tracker sees the point:

        lost_error = mean over cases, objects n, frames t of d(p, g)                     where v = 1
                                                             max(d(p, g), d(g_0, g))     where v = 0,  d = |dx| + |dy|

    Lower is better; range 0 (perfect) and more; pixels of the scored video. A tracker that loses an object
    keeps its last place, which may lie near the path: `traj_error` counts that place, so a video in which
    objects dissolve can score better than one in which they are seen a little off. Here such a frame is never
    better than not moving at all, so the value is never below `traj_error`, and equal to it where nothing is
    lost. `_seen` is the mean over the frames in which the object is seen, absent where there are none, and
    `_share` the share of scored frames that are lost: read all three. The rule is harmless for occluders,
    because frames whose target is hidden are not scored.

    A frozen video whose object is seen throughout scores the same as under `traj_error`. Frames and objects are
    excluded as in `traj_error`. Source: this project.
    """

    name = "lost_error"
    version = "1"
    direction = "lower"
    units = "px"
    value_range = "0 and more, never below traj_error"
    formula = (
        "mean_case mean_object mean_frame d(p, g), or max(d(p, g), d(g_0, g)) where lost; d = |dx| + |dy|"
    )
    lost_points = "count with the larger of the error of their reported place and that of the start point"
    columns = {
        "lost_error": "traj_error in which a lost frame counts at least like standing still",
        "lost_error_seen": "mean over the scored frames in which the tracker sees the object",
        "lost_error_share": "share of scored frames that the tracker lost",
    }
    source = "this project"
    expected = {"lost_error": ERROR}

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values, and the array `lost_error_NT` in pixels, NaN where a frame is not scored."""
        plain = distances(offsets(paths.target_NT2, paths.tracked_NT2), V1.distance)
        still = distances(offsets(paths.target_NT2, paths.target_NT2[:, :1]), V1.distance)
        bounded = np.where(paths.seen_NT, plain, np.maximum(plain, still))
        counted, lost = paths.counted_NT, ~paths.seen_NT
        error = np.where(counted, bounded, np.nan)
        values = {
            "lost_error": per_object(error),
            "lost_error_seen": per_object(np.where(counted & ~lost, plain, np.nan)),
            "lost_error_share": per_object(np.where(counted, lost.astype(float), np.nan)),
        }
        return values, {"lost_error_NT": error}
