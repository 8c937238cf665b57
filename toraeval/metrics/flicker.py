"""Flicker: restless change of the parts of a picture in which nothing should happen."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.likeness import OBJECT_REACH, near
from toraeval.metrics.shared.paths import LookMetric, Paths
from toraeval.metrics.shared.readings import mean_over
from toraeval.types import ByteArray, Case, FloatArray, Video

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
