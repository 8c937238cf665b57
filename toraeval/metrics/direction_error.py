"""Direction error: does the object move the way the path points?"""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.paths import EXCLUDED, PathMetric, Paths, Steps, per_object, steps_of
from toraeval.types import Case, FloatArray

STILL_SHARE = 0.25
STILL_DEGREES = 90.0


class DirectionError(PathMetric):
    """Direction error: angle between the asked and the tracked movement, while the target moves.

    A step spans a fifteenth of the clip, at least one frame: one of 16 frames, four of 64, eight of 128, so that
    it covers the same part of the path at every length. With displacements v_g of the target and v_p of the
    tracked point over the steps M_n in which the target of object n moves at least one pixel of a 256-pixel
    raster (shorter side / 256):

        direction_error = mean over cases of mean over n of mean over M_n of angle(v_p, v_g)

    Lower is better; range 0 (same direction) to 180 (opposite); degrees. A tracked point that moves less than a
    quarter of that minimum has no direction and counts as 90 degrees, what a random one scores on average; its
    share stands in `direction_error_still`. Both ends of a step must count as in `traj_error`, except that the
    query frame may start one. A path that stands still throughout has no direction: a recorded skip.
    A frozen video scores 90, a video of the right path at the wrong place scores 0: read `traj_error` beside it.
    Source: angular error of optical flow (Barron et al. 1994) applied to tracks; steps and minimum are our choice.
    """

    name = "direction_error"
    version = "1"
    direction = "lower"
    units = "degrees"
    value_range = "0 to 180"
    formula = "mean_case mean_object mean_step angle(v_p, v_g), v displacement over max(1, (T-1)//15) frames"
    excluded = (*EXCLUDED, "steps in which the target moves less than (shorter side / 256) px")
    columns = {
        "direction_error": "mean angle between asked and tracked movement while the target moves",
        "direction_error_still": "share of these steps in which the tracked point stands still (90 degrees)",
    }
    source = "angular error of optical flow (Barron, Fleet and Beauchemin 1994) applied to tracks"
    expected = {
        "direction_error": (
            "ground_truth < lag_1 < lag_4 < frozen",
            "shift_32 < frozen",
            "ground_truth < shuffled",
            "ground_truth < other_case",
        )
    }

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `angle_NT` degrees by the later frame of a step, NaN elsewhere."""
        steps = steps_of(paths)
        if not steps.moving_NS.any():
            return f"nothing to score: no target moves {steps.min_move:g} px in {steps.lag} frames"
        angle_NS, still_NS = _angles(steps)
        angle_NT = np.full(paths.counted_NT.shape, np.nan)
        angle_NT[:, steps.lag :] = angle_NS
        values = {"direction_error": per_object(angle_NS), "direction_error_still": per_object(still_NS)}
        return values, {"angle_NT": angle_NT}


def _angles(steps: Steps) -> tuple[FloatArray, FloatArray]:
    """Return the angle of every moving step in degrees and whether the tracked point stood still; else NaN."""
    asked, seen = steps.target_NS2, steps.tracked_NS2
    cross = asked[..., 0] * seen[..., 1] - asked[..., 1] * seen[..., 0]
    angle = np.degrees(np.abs(np.arctan2(cross, (asked * seen).sum(axis=-1))))
    still = np.linalg.norm(seen, axis=-1) < STILL_SHARE * steps.min_move
    angle = np.where(still, STILL_DEGREES, angle)
    return np.where(steps.moving_NS, angle, np.nan), np.where(steps.moving_NS, still, np.nan)
