"""EPE: end-point error between conditioning and re-estimated tracks, as MoveBench reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np

from toraeval.metrics.shared.expectations import ERROR
from toraeval.metrics.shared.paths import V1, Further, Paths, ReadingMetric
from toraeval.metrics.shared.readings import Measured, mean_over

RASTER = (832, 480)
"""Width and height of MoveBench's clips in pixels."""

MAIN = replace(V1, distance="l2", pooling="points")


class EPE(ReadingMetric):
    """EPE, the mean Euclidean distance between conditioning tracks and tracks re-estimated on the output.

    With all scored points (object n, frame t) of a case in one set S, target g and tracked point p:

        epe = mean over cases of mean over (n, t) in S of sqrt((p_x - g_x)^2 + (p_y - g_y)^2)

    Lower is better; range 0 (perfect) and more; pixels of the scored video. Known of the MoveBench protocol
    (Wan-Move, arXiv 2512.08765, dataset `Ruihang/MoveBench`): the Euclidean distance, tracks by CoTracker with a
    visibility mask, clips of 832x480 with 81 frames. Not documented, hence our choice: only visible targets
    inside the picture count, the query frame does not (it stands in `epe_with_query`), and all points of a case
    weigh the same, so that an object seen for longer weighs more; in `objmc` objects weigh the same.
    A frozen video scores the mean distance of the path from its start; blur goes unpunished until the tracker
    loses the object.
    """

    name = "epe"
    version = "2"
    direction = "lower"
    units = "px"
    value_range = "0 and more"
    formula = "mean_case mean_(object, frame) |p - g|_2, p tracked, g target"
    pooling = "all scored points of a case, then cases, with equal weight"
    readings = {"epe": MAIN, "epe_with_query": replace(MAIN, skip_query=False)}
    details = {"readings": {column: asdict(reading) for column, reading in readings.items()}}
    columns = {
        "epe": "mean Euclidean distance over all scored points of a case",
        "epe_with_query": "epe with the query frame, where the tracker is told the answer",
        "epe_832x480": "epe over the same points in pixels of MoveBench's size (dx*832/width, dy*480/height)",
    }
    source = (
        "MoveBench in Wan-Move, arXiv 2512.08765; frames, mask and pooling are not documented there "
        "and are our choice"
    )
    expected = {"epe": ERROR}

    def further(self, paths: Paths, found: Mapping[str, Measured]) -> Further:
        """Return the value on MoveBench's raster, and array `errors_NT`, Euclidean pixels, NaN where not scored."""
        # the same points as in `epe`: whether a target is inside was decided on the picture that was scored
        error_NT = found["epe"].error_NT
        offset_NT2 = (paths.tracked_NT2 - paths.target_NT2) * (np.array(RASTER) / paths.size)
        mapped = np.where(np.isfinite(error_NT), np.linalg.norm(offset_NT2, axis=-1), np.nan)
        return {"epe_832x480": float(mean_over(mapped.ravel(), axis=0))}, {"errors_NT": error_NT}
