"""A few of many tracked points: which ones a case takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toraeval import geometry
from toraeval.trajectories.reading import Raw
from toraeval.types import Trajectories, UserError, be, counted

MAX_CHOSEN = 2048


def require_points(suite: str, points: int) -> int:
    """Return the number of points that a suite takes of each clip.

    Raises:
        UserError: outside 1..2048.
    """
    if not 1 <= points <= MAX_CHOSEN:
        raise UserError(f"suite {suite}: points={points}; allowed: 1 to {MAX_CHOSEN}")
    return points


def choose_points(paths: Trajectories, points: int, frame: int = 0) -> Trajectories:
    """Return at most `points` of the paths that are visible in a frame, evenly spread over their list.

    Raises:
        UserError: none is visible there.
    """
    visible = np.flatnonzero(paths.visible_NT[:, frame])
    if not visible.size:
        raise UserError(
            f"{paths.source}: none of {counted(paths.num_objects, 'point')} is visible in frame {frame}"
        )
    kept = visible[np.unique(np.linspace(0, visible.size - 1, min(points, visible.size)).round().astype(int))]
    notes = paths.notes
    if kept.size < paths.num_objects:
        notes = (
            *notes,
            f"{kept.size} of {counted(paths.num_objects, 'point')} {be(kept.size)} taken, visible in frame {frame}",
        )
    return replace(
        paths,
        tracks_NT2=paths.tracks_NT2[kept],
        visible_NT=paths.visible_NT[kept],
        names=tuple(paths.names[index] for index in kept) if paths.names else (),
        notes=notes,
    )


def on_picture(raw: Raw, canvas: tuple[int, int], source: str) -> Trajectories:
    """Return tracked points as paths on their picture; a point that is called visible outside of it counts as hidden.

    Trackers and renderers follow points out of the frame; the projects that use such files drop them there.

    Raises:
        UserError: a coordinate is not a finite number.
    """
    swap = raw.order == "tn"
    tracks = raw.values.transpose(1, 0, 2) if swap else raw.values
    visible = raw.visible if raw.visible is not None else np.ones(raw.values.shape[:2], dtype=bool)
    visible = visible.T if swap else visible
    inside = geometry.inside_canvas(tracks, canvas)
    outside = int((visible & ~inside).sum())
    notes = raw.notes
    if outside:
        notes = (
            *notes,
            f"{counted(outside, 'point')} outside the picture that {be(outside)} called visible "
            f"count{'s' * (outside == 1)} as hidden",
        )
    return Trajectories(tracks, visible & inside, canvas, raw.fps, source, notes=notes)
