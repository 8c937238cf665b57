"""Target and tracked paths of one case, which of their points count, and what the metrics that read them share.

Shape legend: N objects, T frames, S steps that end in frames `lag` .. T - 1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toraeval.metrics.shared.base import NO_VIDEO, Found, Metric, check_video
from toraeval.metrics.shared.readings import READINGS, Measured, Reading, counted_points, mean_over, measure
from toraeval.types import BoolArray, Case, FloatArray, Tracks, UserError, Video

V1 = READINGS["traj_error_v1"]

EXCLUDED: tuple[str, ...] = (
    "frame 0, the query frame",
    "frames whose target is not visible",
    "frames whose target lies off the picture: outside -0.5 <= x <= width - 0.5, same for y",
    "objects whose target is not visible or off the picture in frame 0",
)
"""What `traj_error` and every metric that follows its rules leaves out."""

POOLING = "frames of an object, then objects of a case, then cases, all with equal weight"
OBJECTS = "objects of a case, then cases, with equal weight"
LOST = "a point that the tracker calls lost counts with the place it reports"
NO_TRACKS = "no tracks: the metric needs a tracker"


Further = tuple[dict[str, float], dict[str, FloatArray]]
"""Values and arrays beside those of the readings."""


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


def check_tracks(metric: str, case: Case, tracks: Tracks) -> None:
    """Refuse tracks that do not belong to the case.

    Raises:
        UserError: shapes differ from (objects, frames, 2), a coordinate is not finite, or the target
            is not on the canvas that is scored. Never cuts, pads or fills anything.
    """
    target = case.trajectories
    if target.canvas != (case.width, case.height):
        raise UserError(
            f"{metric}: case {case.id} has its target on canvas {target.canvas}, but is scored at "
            f"{(case.width, case.height)}; convert it with Trajectories.to_canvas(width, height)"
        )
    seen = np.asarray(tracks.tracks_NT2)
    shape = (target.num_objects, case.frames, 2)
    for what, found, expected, rest in (
        (
            "target points",
            target.tracks_NT2.shape,
            shape,
            ", 2); resample it with Trajectories.to_frames(frames)",
        ),
        (
            "tracks of shape",
            seen.shape,
            shape,
            ", 2); the tracker must return one point per object and frame",
        ),
        ("tracker visibility of shape", np.shape(tracks.visible_NT), shape[:2], ")"),
    ):
        if found != expected:
            raise UserError(
                f"{metric}: case {case.id} has {what} {found}, expected {expected} (objects, frames{rest}"
            )
    if not np.isfinite(seen).all():
        n, t = np.argwhere(~np.isfinite(seen).all(axis=-1))[0]
        raise UserError(
            f"{metric}: case {case.id} has a tracked coordinate that is not a finite number at object {n}, "
            f"frame {t}; a lost point must keep its last place and be marked not visible"
        )


class PathMetric(Metric):
    """A metric of the tracked paths alone."""

    pooling = POOLING
    excluded: tuple[str, ...] = EXCLUDED

    def examine(self, case: Case, tracks: Tracks | None, video: Video | None) -> Found:
        """Return what `measure` makes of the paths, or the reason why none of their points counts."""
        paths = scored_paths(self.name, case, tracks)
        return paths if isinstance(paths, str) else self.measure(case, paths)

    @abstractmethod
    def measure(self, case: Case, paths: Paths) -> Found:
        """Return the values and arrays of paths of which at least one point counts."""


class LookMetric(Metric):
    """A metric of the frames near the paths."""

    pooling = POOLING
    excluded: tuple[str, ...] = EXCLUDED
    needs_video = True

    def examine(self, case: Case, tracks: Tracks | None, video: Video | None) -> Found:
        """Return what `measure` makes of a clip that fits its case, or the reason why there is nothing to look at."""
        paths = scored_paths(self.name, case, tracks)
        if isinstance(paths, str) or video is None:
            return paths if isinstance(paths, str) else NO_VIDEO
        check_video(self.name, case, video)
        return self.measure(case, paths, video)

    @abstractmethod
    def measure(self, case: Case, paths: Paths, video: Video) -> Found:
        """Return the values and arrays of a clip that fits its case."""


class ReadingMetric(PathMetric):
    """Distances between both paths, one reading a column, the main one first; array `errors_NT`, NaN if not scored."""

    readings: Mapping[str, Reading]
    lost_points = LOST

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return the value of every reading, then what `further` adds."""
        found = {column: paths.measure(reading) for column, reading in self.readings.items()}
        values, arrays = self.further(paths, found)
        return {column: measured.value for column, measured in found.items()} | values, arrays

    def further(self, paths: Paths, found: Mapping[str, Measured]) -> Further:
        """Return further values, and the arrays."""
        return {}, {"errors_NT": found[self.name].error_NT}


STRETCHES = 15
"""A step spans a fifteenth of the clip: one frame of 16, four of 64, eight of 128."""

MIN_MOVE = 1.0
"""A target that moves less in a step, pixels of a 256-pixel raster, stands still: it has no direction."""


@dataclass(frozen=True)
class Steps:
    """What target and tracked point did in each step.

    Attributes:
        lag: frames per step.
        target_NS2, tracked_NS2: float64 displacements in pixels of the scored size.
        counted_NS: bool, both ends of the step count; the query frame may be the earlier end.
        moving_NS: bool, of these the steps in which the target moves.
        min_move: pixels of the scored size from which a target moves.
    """

    lag: int
    target_NS2: FloatArray
    tracked_NS2: FloatArray
    counted_NS: BoolArray
    moving_NS: BoolArray
    min_move: float


def steps_of(paths: Paths) -> Steps:
    """Return the steps of a case."""
    frames = paths.counted_NT.shape[1]
    lag = max(1, (frames - 1) // STRETCHES)
    ends = paths.counted_NT.copy()
    ends[:, 0] = ends.any(axis=1)  # a scored object has a visible target in frame 0
    target = paths.target_NT2[:, lag:] - paths.target_NT2[:, :-lag]
    tracked = paths.tracked_NT2[:, lag:] - paths.tracked_NT2[:, :-lag]
    counted = ends[:, lag:] & ends[:, :-lag]
    min_move = MIN_MOVE * paths.raster_px
    moving = counted & (np.linalg.norm(target, axis=-1) >= min_move)
    return Steps(lag, target, tracked, counted, moving, min_move)


def travelled(steps: Steps) -> tuple[FloatArray, FloatArray]:
    """Return how far target and tracked point of each object travel over the counted steps, float64 (N,) pixels.

    Steps follow each other without overlap, so that sub-pixel jitter of the tracker does not add up.

    Returns:
        `(asked_N, seen_N)`; both NaN for an object whose target stands still throughout.
    """
    chosen = slice(None, None, steps.lag)
    counted = steps.counted_NS[:, chosen]
    asked_N, seen_N = (
        np.where(counted, np.linalg.norm(moves[:, chosen], axis=-1), 0.0).sum(axis=1)
        for moves in (steps.target_NS2, steps.tracked_NS2)
    )
    moves_N = asked_N >= steps.min_move
    return np.where(moves_N, asked_N, np.nan), np.where(moves_N, seen_N, np.nan)
