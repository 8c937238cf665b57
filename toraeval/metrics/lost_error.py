"""Trajectory error in which losing an object never pays: lost frames count at least like standing still."""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import ERROR
from toraeval.metrics.shared.paths import V1, PathMetric, Paths, per_object
from toraeval.metrics.shared.readings import distances, offsets
from toraeval.types import Case


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
