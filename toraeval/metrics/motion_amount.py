"""Motion amount: does anything move, where it should and as much as it should?"""

from __future__ import annotations

import cv2
import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.likeness import OBJECT_REACH, near
from toraeval.metrics.shared.paths import EXCLUDED, LookMetric, Paths, steps_of, travelled
from toraeval.metrics.shared.readings import mean_over
from toraeval.types import Case, FloatArray, Video


class MotionAmount(LookMetric):
    """Motion amount: the share of the asked way that the object travels, and how much the picture changes.

    With the lengths of the asked and the tracked way of object n over steps of a fifteenth of the clip (see
    `direction_error`), taken without overlap:

        motion_amount = mean over cases of mean over n of min(1, tracked way / asked way)

    Higher is better; range 0 (nothing moved) to 1 (as far as asked, or farther); a share. `motion_amount_ratio` is
    the same without the limit: far above 1 the object jumps about. `motion_amount_inside` is the mean
    |x_t - x_(t-1)| in 8-bit levels over all channels, within 0.15 of the shorter side around the targets of both
    frames, `motion_amount_outside` the same for the rest of the picture. Objects whose target stands still have no
    asked way and are left out. No optical flow is involved.
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
    formula = "mean_case mean_object min(1, tracked way / asked way)"
    pooling = "objects of a case (of the changes: frames), then cases, with equal weight"
    excluded = (*EXCLUDED, "objects whose target stands still")
    details = {"area": f"within {OBJECT_REACH} of the shorter side around the targets of both frames"}
    columns = {
        "motion_amount": "share of the asked way that the object travels, at most 1",
        "motion_amount_ratio": "tracked way / asked way without a limit; 1 = as asked",
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
