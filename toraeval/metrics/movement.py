"""Movement: does the object move the way and as fast as the path asks, and does anything move at all?"""

from __future__ import annotations

import cv2
import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import above
from toraeval.metrics.shared.likeness import OBJECT_REACH, near
from toraeval.metrics.shared.paths import (
    EXCLUDED,
    LookMetric,
    PathMetric,
    Paths,
    Steps,
    per_object,
    steps_of,
    travelled,
)
from toraeval.metrics.shared.readings import mean_over
from toraeval.types import Case, FloatArray, Video, counted

STILL_SHARE = 0.25
STILL_DEGREES = 90.0


class DirectionError(PathMetric):
    """Direction error: angle between the given and the tracked movement, while the target moves.

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
        "direction_error": "mean angle between given and tracked movement while the target moves",
        "direction_error_still": "share of these steps in which the tracked point stands still (90 degrees)",
    }
    source = "angular error of optical flow (Barron, Fleet and Beauchemin 1994) applied to tracks"
    expected = {
        "direction_error": (
            "ground_truth < lag_1 < lag_4 < frozen",
            "shift_32 < frozen",
            *above("shuffled", "other_case"),
        )
    }

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `angle_NT` degrees by the later frame of a step, NaN elsewhere."""
        steps = steps_of(paths)
        if not steps.moving_NS.any():
            return f"nothing to score: no target moves {steps.min_move:g} px in {counted(steps.lag, 'frame')}"
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


class SpeedError(PathMetric):
    """Speed error: difference between the given and the tracked speed, whatever the direction.

    A step spans a fifteenth of the clip, at least one frame (see `direction_error`), so that sub-pixel jitter of
    the tracker does not pass for speed. With displacements v_g of the target and v_p of the tracked point over a
    step of L frames:

        speed_error = mean over cases of mean over n of mean over steps of | |v_p| - |v_g| | / L

    Lower is better; range 0 (perfect) and more; pixels of the scored video per frame, so that numbers of different
    lengths or sizes do not compare; `speed_error_ratio`, mean |v_p| / mean |v_g| of an object whose target moves,
    does: 1 is the target speed, 0 is frozen, and nearer to 1 is better. Targets that stand still count in
    `speed_error` (any movement is wrong there) and are left out of the ratio. Both ends of a step must count as in
    `traj_error`, except that the query frame may start one.
    A frozen video scores the mean target speed and a ratio of 0. Definition of our own; steps as in `direction_error`.
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
        "speed_error_ratio": "mean tracked / mean target speed of moving targets; 1 = as asked, 0 = frozen",
        "speed_error_asked": "mean target speed, px per frame; depends on the target only",
    }
    source = "toraeval"
    expected = {
        "speed_error": above("lag_1 < lag_4 < frozen", "shuffled"),
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


class MotionAmount(LookMetric):
    """Motion amount: the share of the target way that the object travels, and how much the picture changes.

    With the lengths of the given and the tracked way of object n over steps of a fifteenth of the clip (see
    `direction_error`), taken without overlap:

        motion_amount = mean over cases of mean over n of min(1, tracked way / target way)

    Higher is better; range 0 (nothing moved) to 1 (as far as asked, or farther); a share. `motion_amount_ratio` is
    the same without the limit: far above 1 the object jumps about. `motion_amount_inside` is the mean
    |x_t - x_(t-1)| in 8-bit levels over all channels, within 0.15 of the shorter side around the targets of both
    frames, `motion_amount_outside` the same for the rest of the picture. Objects whose target stands still have no
    target way and are left out. No optical flow is involved.
    It tells whether something moved, not whether it moved rightly: a frozen video scores 0, shuffled frames 1 and a
    ratio far above 1, noise leaves it as the tracker sees it but raises inside and outside alike. It stands beside
    `flicker` and `appearance_drift`, in which a frozen video looks perfect. Definition of our own; VBench's
    `dynamic_degree` has the same purpose.
    """

    name = "motion_amount"
    version = "2"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = "mean_case mean_object min(1, tracked way / target way)"
    pooling = "objects of a case (of the changes: frames), then cases, with equal weight"
    excluded = (*EXCLUDED, "objects whose target stands still")
    details = {"area": f"within {OBJECT_REACH} of the shorter side around the targets of both frames"}
    columns = {
        "motion_amount": "share of the target way that the object travels, at most 1",
        "motion_amount_ratio": "tracked way / target way without a limit; 1 = as asked",
        "motion_amount_inside": "mean absolute change per frame near the targets, 8-bit levels",
        "motion_amount_outside": "mean absolute change per frame away from the targets, 8-bit levels",
    }
    source = "toraeval"
    expected = {
        "motion_amount": ("frozen < lag_4 < ground_truth", "frozen < shuffled", "vanished < ground_truth"),
        "motion_amount_ratio": ("frozen < ground_truth < shuffled",),
        "motion_amount_inside": ("frozen < ground_truth < noise", "ground_truth < shuffled"),
        "motion_amount_outside": ("frozen <= ground_truth < noise",),
    }

    def measure(self, case: Case, paths: Paths, video: Video) -> Found:
        """Return values and arrays `asked_N` and `seen_N`, ways in pixels, `inside_T` and `outside_T`, levels."""
        asked_N, seen_N = travelled(steps_of(paths))
        if not np.isfinite(asked_N).any():
            return "nothing to score: every target stands still"
        inside_T, outside_T = _changes(paths, video)
        ratio_N = seen_N / asked_N
        values = {
            "motion_amount": float(mean_over(np.minimum(ratio_N, 1.0), axis=0)),
            "motion_amount_ratio": float(mean_over(ratio_N, axis=0)),
            "motion_amount_inside": float(mean_over(inside_T, axis=0)),
            "motion_amount_outside": float(mean_over(outside_T, axis=0)),
        }
        arrays = {"asked_N": asked_N, "seen_N": seen_N, "inside_T": inside_T, "outside_T": outside_T}
        return values, arrays


def _changes(paths: Paths, video: Video) -> tuple[FloatArray, FloatArray]:
    """Return the mean absolute change of each frame from the one before, near the targets and elsewhere."""
    frames = video.thwc
    inside_T, outside_T = np.full(len(frames), np.nan), np.full(len(frames), np.nan)
    scored = paths.counted_NT.any(axis=1)
    for t in range(1, len(frames)):
        change = cv2.absdiff(np.ascontiguousarray(frames[t]), np.ascontiguousarray(frames[t - 1]))
        area = near(paths.target_NT2[scored, t - 1 : t + 1].reshape(-1, 2), paths.size)
        covered = cv2.countNonZero(area)
        # sums of whole numbers are exact: an unchanged part gives 0, not a rounding error
        near_levels = sum(cv2.sumElems(cv2.bitwise_and(change, change, mask=area))) / 3
        if covered:
            inside_T[t] = near_levels / covered
        if covered < area.size:
            outside_T[t] = (sum(cv2.sumElems(change)) / 3 - near_levels) / (area.size - covered)
    return inside_T, outside_T
