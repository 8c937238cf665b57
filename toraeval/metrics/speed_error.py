"""Speed error: does the object move as fast as the path asks, whichever way it goes?"""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.paths import PathMetric, Paths, per_object, steps_of
from toraeval.metrics.shared.readings import mean_over
from toraeval.types import Case


class SpeedError(PathMetric):
    """Speed error: difference between the asked and the tracked speed, whatever the direction.

    A step spans a fifteenth of the clip, at least one frame (see `direction_error`), so that sub-pixel jitter of
    the tracker does not pass for speed. With displacements v_g of the target and v_p of the tracked point over a
    step of L frames:

        speed_error = mean over cases of mean over n of mean over steps of | |v_p| - |v_g| | / L

    Lower is better; range 0 (perfect) and more; pixels of the scored video per frame, so that numbers of different
    lengths or sizes do not compare; `speed_error_ratio`, mean |v_p| / mean |v_g| of an object whose target moves,
    does: 1 is the asked speed, 0 is frozen, and nearer to 1 is better. Targets that stand still count in
    `speed_error` (any movement is wrong there) and are left out of the ratio. Both ends of a step must count as in
    `traj_error`, except that the query frame may start one.
    A frozen video scores the asked mean speed and a ratio of 0. Definition of our own; steps as in `direction_error`.
    """

    name = "speed_error"
    version = "1"
    direction = "lower"
    units = "px/frame"
    value_range = "0 and more"
    formula = (
        "mean_case mean_object mean_step | |v_p| - |v_g| | / L, v displacement over "
        "L = max(1, (T-1)//15) frames"
    )
    columns = {
        "speed_error": "mean difference of speeds, px per frame",
        "speed_error_ratio": "mean tracked / mean asked speed of moving targets; 1 = as asked, 0 = frozen",
        "speed_error_asked": "mean asked speed, px per frame; depends on the target only",
    }
    source = "toraeval"
    expected = {
        "speed_error": ("ground_truth < lag_1 < lag_4 < frozen", "ground_truth < shuffled"),
        "speed_error_ratio": ("frozen < ground_truth < shuffled",),
    }

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `asked_NT`, `seen_NT`, px per frame by the later end of a step."""
        steps = steps_of(paths)
        if not steps.counted_NS.any():
            return f"nothing to score: no target is visible in two frames that lie {steps.lag} apart"
        asked = np.where(steps.counted_NS, np.linalg.norm(steps.target_NS2, axis=-1), np.nan) / steps.lag
        seen = np.where(steps.counted_NS, np.linalg.norm(steps.tracked_NS2, axis=-1), np.nan) / steps.lag
        moving = steps.moving_NS.any(axis=1)
        asked_N = mean_over(asked, axis=1)
        ratio_N = np.where(moving, mean_over(seen, axis=1) / np.where(moving, asked_N, 1.0), np.nan)
        values = {
            "speed_error": per_object(np.abs(seen - asked)),
            "speed_error_ratio": float(mean_over(ratio_N, axis=0)),
            "speed_error_asked": float(mean_over(asked_N, axis=0)),
        }
        arrays = {"asked_NT": np.full(paths.counted_NT.shape, np.nan)}
        arrays["seen_NT"] = arrays["asked_NT"].copy()
        arrays["asked_NT"][:, steps.lag :], arrays["seen_NT"][:, steps.lag :] = asked, seen
        return values, arrays
