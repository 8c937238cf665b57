"""TrajError: how far the tracked object is from the path it was asked to follow.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np

from toraeval.metrics.base import check_tracks
from toraeval.metrics.readings import READINGS, Measured, Reading, mean_over, measure, offsets
from toraeval.types import Case, FloatArray, Score, Tracks, Video

V1 = READINGS["traj_error_v1"]

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
        if tracks is None:
            return Score(self.name, self.version, skipped="no tracks: the metric needs a tracker")
        check_tracks(self.name, case, tracks)
        main = _measure(V1, case, tracks)
        scored = np.isfinite(main.error_NT)
        if not scored.any():
            return Score(self.name, self.version, skipped=_nothing_scored(case))
        seen_NT = np.where(scored, np.asarray(tracks.visible_NT, dtype=np.float64), np.nan)
        beside = {name: _measure(reading, case, tracks) for name, (reading, _) in SECONDARY.items()}
        values = {"traj_error": main.value}
        values |= {name: measured.value for name, measured in beside.items()}
        values["traj_error_diagonal"] = main.value / math.hypot(case.width, case.height)
        values["tracked_visible"] = float(mean_over(mean_over(seen_NT, axis=1), axis=0))
        values["n_objects"] = float(scored.any(axis=1).sum())
        values["scored_points"] = float(scored.sum())
        offset = offsets(case.trajectories.tracks_NT2, tracks.tracks_NT2)
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
            "pooling": "frames of an object, then objects of a case, then cases, all with equal weight",
            "excluded": [
                "frame 0, the query frame",
                "frames whose target is not visible",
                "frames whose target lies off the picture: outside -0.5 <= x <= width - 0.5, same for y",
                "objects whose target is not visible or off the picture in frame 0",
            ],
            "lost_points": "count with the place the tracker reports; see tracked_visible",
            "failures": "a case without video or tracks has no value; it is counted, never scored as 0",
            "reading": asdict(V1),
            "columns": columns,
            "source": "Tora, arXiv 2407.21705: average L1 distance between predefined and generated "
            "trajectories; tracker, formula and pixel frame are not published",
        }


def _measure(reading: Reading, case: Case, tracks: Tracks) -> Measured:
    target = case.trajectories
    return measure(
        reading,
        target.tracks_NT2,
        tracks.tracks_NT2,
        target.visible_NT,
        np.asarray(tracks.visible_NT, dtype=bool),
        (case.width, case.height),
    )


def _nothing_scored(case: Case) -> str:
    if case.frames < 2:
        return f"nothing to score: {case.frames} frame, and frame 0 is the query frame"
    return (
        f"nothing to score: no object has a visible target inside {case.width}x{case.height} in frame 0 "
        f"and again in frames 1 to {case.frames - 1}"
    )
