"""Track survival: for how long does the object stay near its path before it first leaves it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from toraeval.metrics.shared.paths import V1, Further, Paths, ReadingMetric
from toraeval.metrics.shared.readings import Measured, alive

RADIUS, WIDE = 16.0, 50.0
"""Pixels of a 256x256 raster: what pips2's code uses, and what its paper states."""

MAIN = replace(V1, distance="l2", pooling="survival", canvas=256, threshold=RADIUS)


class Survival(ReadingMetric):
    """Track survival: share of an object's scored frames before it first leaves a radius around its target.

    Both paths are mapped to a 256x256 raster (x*256/width, y*256/height). With S_n the scored frames of object n
    and f(n) the first of them in which the Euclidean distance exceeds 16 raster pixels:

        survival = mean over cases of mean over n of |frames of S_n before f(n)| / |S_n|

    Higher is better; range 0 (off at once) to 1 (never left); a share. Coming back does not count. Frames and
    objects are excluded as in `traj_error`. `survival_50` has a radius of 50 raster pixels: pips2's paper states
    50, its code uses 16 (aharley/pips2, issue 6). A frozen video survives until the target has travelled 16 raster
    pixels, so that paths that stay near their start survive: read `motion_amount` beside it.
    Source: survival rate of PointOdyssey (Zheng et al., arXiv 2307.15055).
    """

    name = "survival"
    version = "1"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = (
        "mean_case mean_object (scored frames before |p - g|_2 first exceeds 16 px of 256x256) / "
        "(scored frames)"
    )
    readings = {"survival": MAIN, "survival_50": replace(MAIN, threshold=WIDE)}
    columns = {
        "survival": "share of scored frames before the track first leaves 16 px of 256x256",
        "survival_50": "the same with 50 px",
        "survival_whole": "1 if no object of the case ever leaves 16 px, else 0",
    }
    source = "PointOdyssey, arXiv 2307.15055; radii as in aharley/pips2 (16 in code, 50 in the paper)"
    expected = {
        "survival": (
            "shift_32 < shift_8 <= ground_truth",
            "lag_4 <= lag_1",
            "lag_4 <= ground_truth",
            "frozen < ground_truth",
            "shuffled < ground_truth",
            "vanished < ground_truth",
        )
    }

    def further(self, paths: Paths, found: Mapping[str, Measured]) -> Further:
        """Return whether every object stayed, and array `alive_NT` (1 or 0), NaN where not scored."""
        error_NT = found["survival"].error_NT
        stayed = float((error_NT <= RADIUS)[paths.counted_NT].all())
        return {"survival_whole": stayed}, {"alive_NT": alive(error_NT, RADIUS)}
