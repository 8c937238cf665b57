"""ObjMC: MotionCtrl's object-motion control score, and the variant that was published as code."""

from __future__ import annotations

from dataclasses import asdict, replace

from toraeval.metrics.shared.expectations import ERROR
from toraeval.metrics.shared.paths import V1, ReadingMetric
from toraeval.metrics.shared.readings import READINGS

MAIN = replace(V1, distance="l2")


class ObjMC(ReadingMetric):
    """ObjMC, the Euclidean distance between asked and recovered object trajectories (MotionCtrl, arXiv 2312.03641).

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
        "objmc": MAIN,
        "objmc_256": replace(MAIN, canvas=256),
        "objmc_all": READINGS["l2__all_frames"],
        "objmc_draganything": READINGS["objmc_draganything_int_truncated"],
    }
    details = {"readings": {column: asdict(reading) for column, reading in readings.items()}}
    columns = {
        "objmc": "mean Euclidean distance between asked and tracked object path",
        "objmc_256": "objmc after mapping both paths to MotionCtrl's 256 x 256 canvas (x*256/width, y*256/height)",
        "objmc_all": "the literal reading: one mean over every point, with frame 0, hidden and outside targets",
        "objmc_draganything": "objmc_all after cutting all coordinates to whole pixels, as DragAnything's script does",
    }
    source = (
        "MotionCtrl, arXiv 2312.03641 (distance; no script published); showlab/DragAnything 04c2382, "
        "utils/Eval_ObjMC/ObjMC.py (objmc_draganything)"
    )
    expected = {"objmc": ERROR}
