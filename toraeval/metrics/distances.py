"""Further distances between the given and the tracked path: ObjMC, EPE, the final one, and how long it stays small."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np

from toraeval.metrics.shared.expectations import ERROR, below
from toraeval.metrics.shared.paths import OBJECTS, V1, Further, Paths, ReadingMetric
from toraeval.metrics.shared.readings import READINGS, Measured, alive, final_errors, mean_over

EUCLIDEAN = replace(V1, distance="l2")
POINTS = replace(EUCLIDEAN, pooling="points")
FINAL = replace(EUCLIDEAN, pooling="final")
RADIUS, WIDE = 16.0, 50.0
"""Pixels of a 256x256 raster: what pips2's code uses, and what its paper states."""
NEAR = replace(EUCLIDEAN, pooling="survival", canvas=256, threshold=RADIUS)
RASTER = (832, 480)
"""Width and height of MoveBench's clips in pixels."""


class ObjMC(ReadingMetric):
    """ObjMC, the Euclidean distance between given and recovered object trajectories (MotionCtrl, arXiv 2312.03641).

    For the set S_n of scored frames of object n, target g and tracked point p in pixels of the scored size:

        objmc = mean over cases of mean over n of mean over t in S_n of sqrt((p_x - g_x)^2 + (p_y - g_y)^2)

    Lower is better; range 0 (perfect) to the picture's diagonal and beyond; pixels of the scored video.
    MotionCtrl recovers paths with ParticleSfM and publishes no script, so that tracker, frames and pooling are
    ours: S_n is that of `traj_error`. The only public script is DragAnything's
    (showlab/DragAnything 04c2382, `utils/Eval_ObjMC/ObjMC.py`): all frames with the query frame, visibility
    ignored, coordinates cut to integers; it stands beside as `objmc_draganything`.
    A frozen video scores the mean distance of the path from its start; a blurred one scores well as long as the
    tracker holds on: read `appearance_drift` beside it.
    """

    name = "objmc"
    version = "1"
    direction = "lower"
    units = "px"
    value_range = "0 and more"
    formula = "mean_case mean_object mean_frame |p - g|_2, p tracked, g target"
    readings = {
        "objmc": EUCLIDEAN,
        "objmc_256": replace(EUCLIDEAN, canvas=256),
        "objmc_all": READINGS["l2__all_frames"],
        "objmc_draganything": READINGS["objmc_draganything_int_truncated"],
    }
    details = {"readings": {column: asdict(reading) for column, reading in readings.items()}}
    columns = {
        "objmc": "mean Euclidean distance between given and tracked object path",
        "objmc_256": "objmc after mapping both paths to MotionCtrl's 256 x 256 canvas (x*256/width, y*256/height)",
        "objmc_all": "the literal reading: one mean over every point, with frame 0, hidden and outside targets",
        "objmc_draganything": "objmc_all after cutting all coordinates to whole pixels, as DragAnything's script does",
    }
    source = (
        "MotionCtrl, arXiv 2312.03641 (distance; no script published); showlab/DragAnything 04c2382, "
        "utils/Eval_ObjMC/ObjMC.py (objmc_draganything)"
    )
    expected = {"objmc": ERROR}


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
    readings = {"epe": POINTS, "epe_with_query": replace(POINTS, skip_query=False)}
    details = {"readings": {column: asdict(reading) for column, reading in readings.items()}}
    columns = {
        "epe": "mean Euclidean distance over all scored points of a case",
        "epe_with_query": "epe with the query frame, where the tracker is given the answer",
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


class FinalError(ReadingMetric):
    """Final-position error: distance from the given path in the last scored frame of each object.

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
        "final_error": FINAL,
        "final_error_l1": replace(FINAL, distance="l1"),
        "final_error_256": replace(FINAL, canvas=256),
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
    readings = {"survival": NEAR, "survival_50": replace(NEAR, threshold=WIDE)}
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
            *below("frozen", "shuffled", "vanished"),
        )
    }

    def further(self, paths: Paths, found: Mapping[str, Measured]) -> Further:
        """Return whether every object stayed, and array `alive_NT` (1 or 0), NaN where not scored."""
        error_NT = found["survival"].error_NT
        stayed = float((error_NT <= RADIUS)[paths.counted_NT].all())
        return {"survival_whole": stayed}, {"alive_NT": alive(error_NT, RADIUS)}
