"""Final-position error: where did the object end up?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from toraeval.metrics.shared.expectations import ERROR
from toraeval.metrics.shared.paths import OBJECTS, V1, Further, Paths, ReadingMetric
from toraeval.metrics.shared.readings import Measured, final_errors

MAIN = replace(V1, distance="l2", pooling="final")


class FinalError(ReadingMetric):
    """Final-position error: distance from the asked path in the last scored frame of each object.

    With e(n) the last frame in which the target of object n is visible and inside the picture:

        final_error = mean over cases of mean over n of sqrt((p_x - g_x)^2 + (p_y - g_y)^2) at frame e(n)

    Lower is better; range 0 (perfect) and more; pixels of the scored video. Frames and objects are excluded as in
    `traj_error`. It does not see how the object got there: read `path_distance` beside it. A frozen video scores
    the distance between the path's two ends, which is near 0 for a closed path such as a circle.
    Known as final displacement error in trajectory forecasting (Alahi et al., CVPR 2016); the Tora paper has none.
    """

    name = "final_error"
    version = "1"
    direction = "lower"
    units = "px"
    value_range = "0 and more"
    formula = "mean_case mean_object |p - g|_2 in the last scored frame of the object"
    pooling = OBJECTS
    readings = {
        "final_error": MAIN,
        "final_error_l1": replace(MAIN, distance="l1"),
        "final_error_256": replace(MAIN, canvas=256),
    }
    columns = {
        "final_error": "Euclidean distance in the last scored frame of each object",
        "final_error_l1": "|dx|+|dy| instead",
        "final_error_256": "final_error on a 256 x 256 canvas (x*256/width, y*256/height)",
        "final_error_diagonal": "final_error divided by the diagonal of the scored size; no unit",
    }
    source = "final displacement error of trajectory forecasting (Alahi et al., CVPR 2016)"
    expected = {"final_error": ERROR}

    def further(self, paths: Paths, found: Mapping[str, Measured]) -> Further:
        """Return the share of the diagonal, and arrays `final_error_N` (px) and `final_frame_N`, NaN if not scored."""
        main, counted = found["final_error"], paths.counted_NT
        last_N = counted.shape[1] - 1 - counted[:, ::-1].argmax(axis=1)
        return {"final_error_diagonal": main.value / math.hypot(*paths.size)}, {
            "final_error_N": final_errors(main.error_NT),
            "final_frame_N": np.where(counted.any(axis=1), last_N, np.nan),
        }
