"""What every tracker must offer, the check of the points it is asked to follow, and the points of a case."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toraeval import geometry
from toraeval.machine import one_opencv_thread
from toraeval.types import Case, FloatArray, Part, Tracks, UserError, Video


class Tracker(Part):
    """Follows N points, given in frame 0, through a video.

    Attributes:
        name: registry name; two trackers whose numbers must not be mixed have two names.
        version: version of the method; part of every track key.
    """

    __slots__ = ()

    version: str

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow float `(x, y)` pixels of frame 0; pixel centres at integers.

        Raises:
            UserError: a query is not a finite point inside the frame.
        """
        raise NotImplementedError(f"tracker {self.name} does not track")


def check_queries(video: Video, queries_N2: npt.ArrayLike) -> FloatArray:
    """Return the queries as float64 (N, 2) after checking shape, finiteness and bounds.

    Args:
        video: the clip whose frame 0 holds the points.
        queries_N2: `(x, y)` pixels, N >= 1.

    Raises:
        UserError: wrong shape, no point, a number that is not finite, or a point outside the frame.
    """
    queries = np.array(queries_N2, dtype=np.float64)
    if queries.ndim != 2 or queries.shape[1] != 2 or len(queries) < 1:
        raise UserError(
            f"tracker: queries must be an array (N, 2) of (x, y) with N >= 1, got {queries.shape}"
        )
    if not np.isfinite(queries).all():
        bad = int(np.flatnonzero(~np.isfinite(queries).all(axis=1))[0])
        raise UserError(
            f"tracker: query {bad} is {queries[bad].tolist()}; coordinates must be finite numbers"
        )
    limit = np.array([video.width, video.height]) - 0.5
    outside = ((queries < -0.5) | (queries > limit)).any(axis=1)
    if outside.any():
        bad = int(np.flatnonzero(outside)[0])
        raise UserError(
            f"tracker: query {bad} at {queries[bad].tolist()} lies outside the "
            f"{video.width}x{video.height} frame; x and y must be pixels of the tracked video"
        )
    return queries


def follow(tracker: Tracker, case: Case, video: Video) -> Tracks:
    """Track the start points of a case; an object that starts outside the picture stays there, not visible.

    Raises:
        UserError: no object starts inside, or the tracker returns something else than finite (N, T, 2).
    """
    start_N2 = case.trajectories.tracks_NT2[:, 0]
    inside = geometry.inside_canvas(start_N2, (video.width, video.height))
    if not inside.any():
        raise UserError(
            f"case {case.id}: every object starts outside the {video.width}x{video.height} picture"
        )
    with one_opencv_thread():
        tracks = tracker.track(video, start_N2[inside])
    expected = (int(inside.sum()), video.num_frames, 2)
    seen = np.asarray(tracks.tracks_NT2, dtype=np.float64)
    if seen.shape != expected or not np.isfinite(seen).all():
        raise UserError(
            f"case {case.id}: tracker {tracker.name} returned {seen.shape}, expected finite numbers {expected}"
        )
    if inside.all():
        return tracks
    full = np.repeat(start_N2[:, None], video.num_frames, axis=1)
    full[inside] = seen
    visible = np.zeros(full.shape[:2], dtype=bool)
    visible[inside] = tracks.visible_NT
    confidence = None
    if tracks.confidence_NT is not None:
        confidence = np.zeros(full.shape[:2])
        confidence[inside] = tracks.confidence_NT
    return Tracks(full, visible, confidence, tracks.info)
