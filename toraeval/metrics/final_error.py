"""Final-position error: where did the object end up?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from toraeval.metrics.shared.kinds import Found, PathMetric
from toraeval.metrics.shared.paths import EXCLUDED, LOST, V1, Paths, definition_of
from toraeval.types import Case

MAIN = replace(V1, distance="l2", pooling="final")


class FinalError(PathMetric):
    """Final-position error: distance from the asked path in the last scored frame of each object.

    With e(n) the last frame in which the target of object n is visible and inside the picture:

        final_error = mean over cases of mean over n of sqrt((p_x - g_x)^2 + (p_y - g_y)^2) at frame e(n)

    Lower is better; range 0 (perfect) and more; pixels of the scored video. Frames and objects are excluded as in
    `traj_error`. It does not see how the object got there: read `path_distance` beside it. A frozen video scores
    the distance between the path's two ends, which is near 0 for a closed path such as a circle.
    Known as final displacement error in trajectory forecasting (Alahi et al., CVPR 2016); the Tora paper has none.
    """

    name: ClassVar[str] = "final_error"
    version: ClassVar[str] = "1"
    direction: ClassVar[str] = "lower"
    units: ClassVar[str] = "px"

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `final_error_N` pixels and `final_frame_N`, NaN if not scored."""
        main = paths.measure(MAIN)
        counted = paths.counted_NT
        last = counted.shape[1] - 1 - counted[:, ::-1].argmax(axis=1)
        some = counted.any(axis=1)
        values = {
            "final_error": main.value,
            "final_error_l1": paths.measure(replace(MAIN, distance="l1")).value,
            "final_error_256": paths.measure(replace(MAIN, canvas=256)).value,
            "final_error_diagonal": main.value / math.hypot(*paths.size),
        }
        arrays = {
            "final_error_N": np.where(some, main.error_NT[np.arange(len(last)), last], np.nan),
            "final_frame_N": np.where(some, last, np.nan),
        }
        return values, arrays

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        return definition_of(
            self,
            formula="mean_case mean_object |p - g|_2 in the last scored frame of the object",
            value_range="0 and more",
            columns={
                "final_error": "Euclidean distance in the last scored frame of each object",
                "final_error_l1": "|dx|+|dy| instead",
                "final_error_256": "final_error on a 256 x 256 canvas (x*256/width, y*256/height)",
                "final_error_diagonal": "final_error divided by the diagonal of the scored size; no unit",
            },
            source="final displacement error of trajectory forecasting (Alahi et al., CVPR 2016)",
            pooling="objects of a case, then cases, with equal weight",
            excluded=list(EXCLUDED),
            lost_points=LOST,
        )
