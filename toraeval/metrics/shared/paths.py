"""Target and tracked paths of one case, and which of their points count; shared by all trajectory metrics.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toraeval.metrics.shared.base import check_tracks
from toraeval.metrics.shared.readings import READINGS, Measured, Reading, counted_points, mean_over, measure
from toraeval.types import BoolArray, Case, FloatArray, Tracks

V1 = READINGS["traj_error_v1"]

EXCLUDED = (
    "frame 0, the query frame",
    "frames whose target is not visible",
    "frames whose target lies off the picture: outside -0.5 <= x <= width - 0.5, same for y",
    "objects whose target is not visible or off the picture in frame 0",
)
"""What `traj_error` and every metric that follows its rules leaves out."""

POOLING = "frames of an object, then objects of a case, then cases, all with equal weight"
LOST = "a point that the tracker calls lost counts with the place it reports"
NO_TRACKS = "no tracks: the metric needs a tracker"
NO_VIDEO = "no video: the metric looks at frames"


@dataclass(frozen=True)
class Paths:
    """What was asked and what was seen, in pixels of the scored size.

    Attributes:
        target_NT2, tracked_NT2: float64 `(x, y)`.
        target_visible_NT, seen_NT: bool, of the target and by the tracker's belief.
        counted_NT: bool, the points left over by `EXCLUDED`.
        size: `(width, height)`.
    """

    target_NT2: FloatArray
    tracked_NT2: FloatArray
    target_visible_NT: BoolArray
    seen_NT: BoolArray
    counted_NT: BoolArray
    size: tuple[int, int]

    def measure(self, reading: Reading) -> Measured:
        """Return the distance between both paths under one reading."""
        return measure(
            reading, self.target_NT2, self.tracked_NT2, self.target_visible_NT, self.seen_NT, self.size
        )

    @property
    def raster_px(self) -> float:
        """Pixels of the shorter side that make one pixel of a 256-pixel raster."""
        return min(self.size) / 256


def scored_paths(metric: str, case: Case, tracks: Tracks | None) -> Paths | str:
    """Return the paths of a case, or the reason why none of their points counts.

    Raises:
        UserError: the tracks do not fit the case or hold a number that is not finite.
    """
    if tracks is None:
        return NO_TRACKS
    check_tracks(metric, case, tracks)
    target, size = case.trajectories, (case.width, case.height)
    seen = np.asarray(tracks.visible_NT, dtype=bool)
    counted = counted_points(V1, target.tracks_NT2, target.visible_NT, seen, *size)
    if counted.any():
        tracked = np.asarray(tracks.tracks_NT2, dtype=np.float64)
        return Paths(target.tracks_NT2, tracked, target.visible_NT, seen, counted, size)
    if case.frames < 2:
        return f"nothing to score: {case.frames} frame, and frame 0 is the query frame"
    return (
        f"nothing to score: no object has a visible target inside {case.width}x{case.height} in frame 0 "
        f"and again in frames 1 to {case.frames - 1}"
    )


def per_object(values_NT: FloatArray) -> float:
    """Return the mean over frames, then over objects; NaN is left out, and is the result if nothing is left."""
    return float(mean_over(mean_over(values_NT, axis=1), axis=0))


def known(values: dict[str, float]) -> dict[str, float]:
    """Return the values that are numbers: what could not be computed is absent."""
    return {name: value for name, value in values.items() if np.isfinite(value)}


def definition_of(
    metric: Any, *, formula: str, value_range: str, columns: dict[str, str], source: str, **further: Any
) -> dict[str, Any]:
    """Return what every `definition()` holds, from the metric's own attributes and the words given."""
    return {
        "metric": metric.name,
        "version": metric.version,
        "direction": metric.direction,
        "units": metric.units,
        "range": value_range,
        "formula": formula,
        **further,
        "columns": columns,
        "source": source,
    }
