"""Appearance drift: how much the tracked object changes its look over the clip."""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.likeness import MIN_CONTRAST, PATCH_REACH, likeness
from toraeval.metrics.shared.paths import EXCLUDED, LookMetric, Paths, per_object
from toraeval.metrics.shared.readings import final_errors, mean_over
from toraeval.types import Case, Video


class AppearanceDrift(LookMetric):
    """Appearance drift: how little the patch at the tracked point correlates with the object's patch in frame 0.

    With the round patch (radius 0.06 of the shorter side) around the tracked point of object n in frame t, and the
    patch around its start in the first frame (the given one where the case has one), all channels together, each
    without its mean:

        appearance_drift = mean over cases of mean over n of mean over t in S_n of 1 - NCC(patch_t, patch_0)

    Lower is better; range 0 (same look) through 1 (nothing in common) to 2 (inverted); no unit. Normalised
    cross-correlation ignores brightness and contrast; `appearance_drift_colour`, the mean absolute difference of
    the patches in 8-bit levels, does not. `appearance_drift_final` is that of the last scored frame. Scored frames
    as in `traj_error`; a patch without any structure counts as NCC 0; objects without structure in frame 0
    (standard deviation below 3 levels) are left out.
    An object that turns, or that another one partly hides, drifts as well, so that the ground truth is not 0. A
    frozen video scores 0, the best value: read `motion_amount` or `object_survival` beside it. An object that
    vanishes scores near 1. Definition of our own; VBench's `subject_consistency` has the same purpose.
    """

    name = "appearance_drift"
    version = "2"
    direction = "lower"
    units = "1 - NCC"
    value_range = "0 to 2"
    formula = "mean_case mean_object mean_frame 1 - NCC(patch at tracked point, patch at start in frame 0)"
    excluded = (*EXCLUDED, f"objects whose contrast in frame 0 is below {MIN_CONTRAST:g} levels")
    details = {"patch": f"round, radius {PATCH_REACH} of the shorter side"}
    columns = {
        "appearance_drift": "mean of 1 - normalised cross-correlation with the object's patch in frame 0",
        "appearance_drift_final": "the same in the last scored frame of each object",
        "appearance_drift_colour": "mean absolute difference of the patches, 8-bit levels",
    }
    source = "toraeval"
    expected = {
        "appearance_drift": (
            "frozen <= ground_truth < blurred",
            "ground_truth < noise",
            "ground_truth < smeared",
            "ground_truth < vanished",
            "ground_truth < other_case",
        ),
        "appearance_drift_colour": ("frozen <= ground_truth < blurred", "ground_truth < vanished"),
    }

    def measure(self, case: Case, paths: Paths, video: Video) -> Found:
        """Return values and arrays `drift_NT`, `colour_NT` in 8-bit levels, NaN where not scored."""
        found = likeness(case, paths, video)
        known_N = found.recognisable_N[:, None]
        drift_NT = np.where(known_N, 1.0 - found.correlation_NT, np.nan)
        colour_NT = np.where(known_N, found.colour_NT, np.nan)
        if not np.isfinite(drift_NT).any():
            return f"nothing to score: no object has structure in frame 0 (contrast below {MIN_CONTRAST:g})"
        values = {
            "appearance_drift": per_object(drift_NT),
            "appearance_drift_final": float(mean_over(final_errors(drift_NT), axis=0)),
            "appearance_drift_colour": per_object(colour_NT),
        }
        return values, {"drift_NT": drift_NT, "colour_NT": colour_NT}
