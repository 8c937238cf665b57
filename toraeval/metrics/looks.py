"""Looks: does the object stay itself, and does the rest stay quiet?"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import above, below
from toraeval.metrics.shared.likeness import MIN_CONTRAST, OBJECT_REACH, PATCH_REACH, Likeness, likeness, near
from toraeval.metrics.shared.paths import (
    EXCLUDED,
    OBJECTS,
    LookMetric,
    Paths,
    per_object,
    steps_of,
    travelled,
)
from toraeval.metrics.shared.readings import final_errors, mean_over
from toraeval.types import BoolArray, ByteArray, Case, FloatArray, Video


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
            *above("noise", "smeared", "vanished", "other_case"),
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


MIN_CORRELATION = 0.5
MAX_FADED = 0.5
"""A patch shows the object if it correlates at least this much and is at most so far on the way to the surroundings.

Ground truth (`lucas_kanade`, 40 validation cases of `shapes`, 256x256, 16 frames): 99.5 % of the scored patches
correlate by more than 0.6 and have gone less than 0.3 of that way; the rest is partly hidden by another object.
"""

END = 0.1
"""The end of a clip: this share of the scored frames of an object, at least one frame."""

MIN_WAY = 0.5
"""A moving target's object must have travelled this share of the target way."""


class ObjectSurvival(LookMetric):
    """Object survival: share of objects that still look like themselves at the end of the clip and have moved.

    In a frame an object is present when the round patch at the tracked point (as in `appearance_drift`) correlates
    with its patch in the first frame by at least 0.5 and differs from it (mean absolute difference over pixels and
    channels) by at most half as much as the colour around the object does, the median between 0.15 and 0.2 of the
    shorter side from its start. With the last tenth E_n of the scored frames of object n, at least one frame:

        object_survival = mean over cases of mean over n of [present in at least half of E_n, and
                          tracked way >= half of the target way where the target moves]

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
        "object_survival": below("frozen", "vanished", "other_case"),
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


RASTER = 256
"""Larger pictures are looked at in every k-th row and column, k = shorter side // 256."""


class Flicker(LookMetric):
    """Flicker: how far a frame's quiet parts lie from the mean of the frames before and after.

    For the quiet part Q_t, all pixels farther than 0.15 of the shorter side from every target and every tracked
    point in the frames t-1, t and t+1:

        flicker = mean over cases of mean over t of mean over Q_t and channels of |x_t - (x_(t-1) + x_(t+1)) / 2|

    Lower is better; range 0 (steady) to 255; 8-bit levels. Even change, such as a slow fade or the drift of a
    smooth background, cancels out, unlike in VBench's `temporal_flickering`, the mean |x_t - x_(t+1)|. Of pictures
    larger than 256 pixels only every k-th row and column is looked at, k = shorter side // 256. Clips of two frames
    have no middle frame, and a picture without a quiet part nothing to look at: recorded skips.
    A frozen video scores 0 and a smeared one nearly: read `motion_amount` and `appearance_drift` beside it; noise
    of standard deviation s in every frame scores about 0.98 s. Definition of our own.
    """

    name = "flicker"
    version = "2"
    direction = "lower"
    units = "levels"
    value_range = "0 to 255"
    formula = "mean_case mean_frame mean_(quiet pixel, channel) |x_t - (x_(t-1) + x_(t+1)) / 2|"
    pooling = "pixels of a frame, then frames of a case, then cases, with equal weight"
    excluded = ()
    details = {
        "area": f"farther than {OBJECT_REACH} of the shorter side from targets and tracked points of 3 frames",
        "grid": f"every k-th row and column, k = shorter side // {RASTER}",
    }
    columns = {"flicker": "mean distance of quiet parts from the mean of their neighbours in time"}
    source = "toraeval"
    expected = {"flicker": ("frozen <= ground_truth < noise", "ground_truth <= shuffled < noise")}

    def measure(self, case: Case, paths: Paths, video: Video) -> Found:
        """Return values and arrays `flicker_T`, 8-bit levels, NaN where a frame has no value."""
        if video.num_frames < 3:
            return "nothing to score: 2 frames, flicker needs 3"
        flicker_T = _flicker(paths, video)
        value = float(mean_over(flicker_T, axis=0))
        if np.isnan(value):
            return (
                f"nothing to score: no pixel is farther than {OBJECT_REACH:g} of the shorter side from "
                "targets and tracked points"
            )
        return {"flicker": value}, {"flicker_T": flicker_T}


def _flicker(paths: Paths, video: Video) -> FloatArray:
    step = max(1, min(paths.size) // RASTER)
    flicker_T = np.full(video.num_frames, np.nan)
    points = np.concatenate([paths.target_NT2, paths.tracked_NT2])
    window: deque[ByteArray] = deque(maxlen=3)
    for t, frame in enumerate(video.thwc[:, ::step, ::step]):
        window.append(np.ascontiguousarray(frame))
        if len(window) < 3:
            continue
        busy = near(points[:, t - 2 : t + 1].reshape(-1, 2), paths.size)
        quiet = cv2.bitwise_not(np.ascontiguousarray(busy[::step, ::step]))
        if cv2.countNonZero(quiet):
            before, now, after = window
            # twice the distance in whole numbers, so that nothing is rounded
            neighbours = cv2.add(before, after, dtype=cv2.CV_16S)
            twice = cv2.absdiff(cv2.add(now, now, dtype=cv2.CV_16S), neighbours)
            flicker_T[t - 1] = float(np.mean(cv2.mean(twice, quiet)[:3])) / 2
    return flicker_T
