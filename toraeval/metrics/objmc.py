"""ObjMC: MotionCtrl's object-motion control score, and the variant that was published as code."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, ClassVar

from toraeval.metrics.shared.kinds import Found, PathMetric
from toraeval.metrics.shared.paths import EXCLUDED, LOST, POOLING, V1, Paths, definition_of
from toraeval.metrics.shared.readings import READINGS, Reading
from toraeval.types import Case

MAIN = replace(V1, distance="l2")

COLUMNS: dict[str, tuple[Reading, str]] = {
    "objmc": (MAIN, "mean Euclidean distance between asked and tracked object path"),
    "objmc_256": (
        replace(MAIN, canvas=256),
        "objmc after mapping both paths to MotionCtrl's 256 x 256 canvas (x*256/width, y*256/height)",
    ),
    "objmc_all": (
        READINGS["l2__all_frames"],
        "the literal reading: one mean over every point, with frame 0, hidden and outside targets",
    ),
    "objmc_draganything": (
        READINGS["objmc_draganything_int_truncated"],
        "objmc_all after cutting all coordinates to whole pixels, as DragAnything's script does",
    ),
}


class ObjMC(PathMetric):
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

    name: ClassVar[str] = "objmc"
    version: ClassVar[str] = "1"
    direction: ClassVar[str] = "lower"
    units: ClassVar[str] = "px"

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `errors_NT`, Euclidean pixels, NaN where not scored."""
        measured = {name: paths.measure(reading) for name, (reading, _) in COLUMNS.items()}
        values = {name: found.value for name, found in measured.items()}
        return values, {"errors_NT": measured["objmc"].error_NT}

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        return definition_of(
            self,
            formula="mean_case mean_object mean_frame |p - g|_2, p tracked, g target",
            value_range="0 and more",
            columns={name: words for name, (_, words) in COLUMNS.items()},
            source="MotionCtrl, arXiv 2312.03641 (distance; no script published); showlab/DragAnything 04c2382, "
            "utils/Eval_ObjMC/ObjMC.py (objmc_draganything)",
            pooling=POOLING,
            excluded=list(EXCLUDED),
            lost_points=LOST,
            readings={name: asdict(reading) for name, (reading, _) in COLUMNS.items()},
        )
