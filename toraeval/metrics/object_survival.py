"""Object survival: is the object still itself at the end, after having moved?"""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.likeness import MIN_CONTRAST, PATCH_REACH, Likeness, likeness
from toraeval.metrics.shared.paths import (
    EXCLUDED,
    OBJECTS,
    LookMetric,
    Paths,
    per_object,
    steps_of,
    travelled,
)
from toraeval.metrics.shared.readings import mean_over
from toraeval.types import BoolArray, Case, FloatArray, Video

MIN_CORRELATION = 0.5
MAX_FADED = 0.5
"""A patch shows the object if it correlates at least this much and is at most so far on the way to the surroundings.

Ground truth (`lucas_kanade`, 40 validation cases of `shapes`, 256x256, 16 frames): 99.5 % of the scored patches
correlate by more than 0.6 and have gone less than 0.3 of that way; the rest is partly hidden by another object.
"""

END = 0.1
"""The end of a clip: this share of the scored frames of an object, at least one frame."""

MIN_WAY = 0.5
"""A moving target's object must have travelled this share of the asked way."""


class ObjectSurvival(LookMetric):
    """Object survival: share of objects that still look like themselves at the end of the clip and have moved.

    In a frame an object is present when the round patch at the tracked point (as in `appearance_drift`) correlates
    with its patch in the first frame by at least 0.5 and differs from it (mean absolute difference over pixels and
    channels) by at most half as much as the colour around the object does, the median between 0.15 and 0.2 of the
    shorter side from its start. With the last tenth E_n of the scored frames of object n, at least one frame:

        object_survival = mean over cases of mean over n of [present in at least half of E_n, and
                          tracked way >= half of the asked way where the target moves]

    Higher is better; range 0 (all lost) to 1 (all there); a share. Ways as in `motion_amount`.
    `object_survival_look` leaves the way out; `object_survival_frames` is the share of all scored frames in which
    the object is present. Scored frames as in `traj_error`; objects without structure in frame 0, or of the
    colour of their surroundings (3 levels), are left out.
    A frozen video gets 0 for every object that was asked to move, and 1 in `object_survival_look`; an object that
    fades, smears or turns into something else gets 0 in both; an object at the wrong place survives, as long as the
    tracker follows it. Thresholds were set on the ground truth of the `shapes` world; definition of our own.
    """

    name = "object_survival"
    version = "2"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = (
        "mean_case mean_object [present in half of the last tenth of frames and half of the way travelled]"
    )
    pooling = OBJECTS
    excluded = (*EXCLUDED, f"objects whose contrast in frame 0 is below {MIN_CONTRAST:g} levels")
    details = {
        "present": f"NCC >= {MIN_CORRELATION} and mean absolute difference <= {MAX_FADED} of that of the surroundings",
        "patch": f"round, radius {PATCH_REACH} of the shorter side",
    }
    columns = {
        "object_survival": "share of objects that look like themselves at the end and have moved",
        "object_survival_look": "share of objects that look like themselves at the end, moved or not",
        "object_survival_frames": "share of scored frames in which the object looks like itself",
    }
    source = "toraeval"
    expected = {
        "object_survival": ("frozen < ground_truth", "vanished < ground_truth", "other_case < ground_truth"),
        "object_survival_look": ("vanished < ground_truth <= frozen", "other_case < ground_truth"),
    }

    def measure(self, case: Case, paths: Paths, video: Video) -> Found:
        """Return values and arrays `present_NT`, `survived_N`, `moved_N` (1 or 0), NaN where not scored."""
        present_NT = _present(likeness(case, paths, video))
        if not np.isfinite(present_NT).any():
            return f"nothing to score: no object has structure in frame 0 (contrast below {MIN_CONTRAST:g})"
        there_N = _at_the_end(present_NT)
        moved_N = _moved(paths)
        survived_N = np.where(np.isfinite(there_N), (there_N == 1) & moved_N, np.nan)
        values = {
            "object_survival": float(mean_over(survived_N, axis=0)),
            "object_survival_look": float(mean_over(there_N, axis=0)),
            "object_survival_frames": per_object(present_NT),
        }
        arrays = {"present_NT": present_NT, "survived_N": survived_N, "moved_N": moved_N.astype(np.float64)}
        return values, arrays


def _present(found: Likeness) -> FloatArray:
    same = (found.correlation_NT >= MIN_CORRELATION) & (found.faded_NT <= MAX_FADED)
    compared = np.isfinite(found.correlation_NT) & found.recognisable_N[:, None]
    return np.where(compared, same, np.nan)


def _at_the_end(present_NT: FloatArray) -> FloatArray:
    """Return 1 or 0 per object, NaN for one that is never compared."""
    there_N = np.full(len(present_NT), np.nan)
    for n, row in enumerate(present_NT):
        scored = row[np.isfinite(row)]
        if scored.size:
            there_N[n] = scored[-max(1, round(END * scored.size)) :].mean() >= 0.5
    return there_N


def _moved(paths: Paths) -> BoolArray:
    asked_N, seen_N = travelled(steps_of(paths))
    return ~(seen_N < MIN_WAY * asked_N)  # a still target asks for no way: NaN, hence True
