"""TrajError: how far the tracked object is from the path it was asked to follow.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np

from toraeval.metrics.shared.paths import EXCLUDED, POOLING, V1, per_object, scored_paths
from toraeval.metrics.shared.readings import Reading, offsets
from toraeval.types import Case, FloatArray, Score, Tracks, Video

SECONDARY: dict[str, tuple[Reading, str]] = {
    "traj_error_l2": (replace(V1, distance="l2"), "Euclidean distance instead of |dx|+|dy|"),
    "traj_error_half": (replace(V1, distance="l1_half"), "(|dx|+|dy|)/2, what an L1 loss returns"),
    "traj_error_x": (replace(V1, distance="x"), "|dx| alone"),
    "traj_error_y": (replace(V1, distance="y"), "|dy| alone"),
    "traj_error_final": (replace(V1, pooling="final"), "traj_error in the last scored frame of each object"),
    "traj_error_256": (
        replace(V1, canvas=256),
        "traj_error after mapping both paths to a 256 x 256 canvas (x*256/width, y*256/height)",
    ),
    "static_error": (
        replace(V1, from_start=True),
        "traj_error of a point that never leaves its start; depends on the target only",
    ),
}
"""Columns that stand beside `traj_error`: its reading, and how it differs in words."""


class TrajError:
    """TrajError v1, the average L1 distance between the asked and the tracked path (Tora, arXiv 2407.21705).

    For the set S_n of scored frames of object n, target g and tracked point p in pixels of the scored size:

        traj_error = mean over cases of mean over n of mean over t in S_n of |p_x - g_x| + |p_y - g_y|

    Lower is better; 0 is perfect; the unit is one pixel of the scored video. Left out of S_n: frame 0, where
    the tracker is told the answer; frames whose target is hidden or off the picture; every frame of an object
    whose target is hidden or off the picture in frame 0, where there is nothing to follow. A point that the
    tracker calls lost still counts with its last place; `tracked_visible` tells how often that happened. The
    paper publishes neither tracker nor formula nor pixel frame, hence a definition of our own with a version.
    """

    name: ClassVar[str] = "traj_error"
    version: ClassVar[str] = "1"
    direction: ClassVar[str] = "lower"
    units: ClassVar[str] = "px"

    def score(self, case: Case, tracks: Tracks | None, video: Video | None = None) -> Score:
        """Score the tracks of one case; the video is not looked at.

        Args:
            case: target paths on the scored canvas.
            tracks: (N, T, 2) float pixels of the scored size, or None when no tracker ran.
            video: ignored.

        Returns:
            Values named in `definition()["columns"]`, and arrays: `offset_NT2` signed pixels, `errors_NT`,
            `tracked_visible_NT` (1 or 0), `error_T` mean over objects, `static_error_T`; NaN where a point
            is not scored. `skipped` holds the reason when nothing can be scored: never a 0.

        Raises:
            UserError: the tracks do not fit the case or hold a number that is not finite.
        """
        paths = scored_paths(self.name, case, tracks)
        if isinstance(paths, str):
            return Score(self.name, self.version, skipped=paths)
        main, scored = paths.measure(V1), paths.counted_NT
        seen_NT = np.where(scored, paths.seen_NT.astype(np.float64), np.nan)
        beside = {name: paths.measure(reading) for name, (reading, _) in SECONDARY.items()}
        values = {"traj_error": main.value}
        values |= {name: measured.value for name, measured in beside.items()}
        values["traj_error_diagonal"] = main.value / math.hypot(case.width, case.height)
        values["tracked_visible"] = per_object(seen_NT)
        values["n_objects"] = float(scored.any(axis=1).sum())
        values["scored_points"] = float(scored.sum())
        offset = offsets(paths.target_NT2, paths.tracked_NT2)
        arrays: dict[str, FloatArray] = {
            "offset_NT2": np.where(scored[..., None], offset, np.nan),
            "errors_NT": main.error_NT,
            "tracked_visible_NT": seen_NT,
            "error_T": main.curve_T,
            "static_error_T": beside["static_error"].curve_T,
        }
        return Score(self.name, self.version, values, arrays)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        columns = {"traj_error": "mean |dx|+|dy| in pixels of the scored size"}
        columns |= {name: f"traj_error, but: {words}" for name, (_, words) in SECONDARY.items()}
        columns["static_error"] = SECONDARY["static_error"][1]
        columns["traj_error_diagonal"] = "traj_error divided by the diagonal of the scored size; no unit"
        columns["tracked_visible"] = "share of scored points that the tracker itself calls visible (0 to 1)"
        columns["n_objects"] = "objects with at least one scored frame"
        columns["scored_points"] = "points (object x frame) that count"
        return {
            "metric": self.name,
            "version": self.version,
            "direction": self.direction,
            "units": "pixels of the scored size; (x, y), origin top-left, pixel centres at integers",
            "formula": "mean_case mean_object mean_frame (|p_x - g_x| + |p_y - g_y|), p tracked, g target",
            "pooling": POOLING,
            "excluded": list(EXCLUDED),
            "lost_points": "count with the place the tracker reports; see tracked_visible",
            "failures": "a case without video or tracks has no value; it is counted, never scored as 0",
            "reading": asdict(V1),
            "columns": columns,
            "source": "Tora, arXiv 2407.21705: average L1 distance between predefined and generated "
            "trajectories; tracker, formula and pixel frame are not published",
        }
