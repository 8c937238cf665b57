"""What every metric offers, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from toraeval.types import Case, FloatArray, Score, Tracks, UserError, Video


class Metric(Protocol):
    """A named, versioned measurement of one case.

    Attributes:
        name: registry name, also the main column of the tables.
        version: raised whenever the same input would give another number.
        direction: `lower` or `higher`, whichever is better.
        units: unit of the main value.
    """

    name: str
    version: str
    direction: str
    units: str

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Return the values of one case, or a `Score` whose `skipped` says why there are none."""
        ...

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data, to be written beside every table."""
        ...


class SetMetric(Metric, Protocol):
    """A metric whose value belongs to a set of samples, e.g. a distance between two distributions.

    `score` then stores what one sample contributes in `Score.arrays`; its `values` may be empty, and `skipped`
    says why a sample contributes nothing.
    """

    def pool(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Score:
        """Return the values of the set.

        Args:
            contributions: sample id -> the arrays that `score` gave for it, in the order of the suite; the
                value must not depend on this order.

        Returns:
            Values of the set, or a `Score` whose `skipped` says why there are none, e.g. too few samples.
        """
        ...


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
            f"{(case.width, case.height)}; convert it with geometry.to_canvas"
        )
    shape = (target.num_objects, case.frames, 2)
    if target.tracks_NT2.shape != shape:
        raise UserError(
            f"{metric}: case {case.id} has target points {target.tracks_NT2.shape}, expected {shape} "
            "(objects, frames, 2); resample it with geometry.resample"
        )
    seen = np.asarray(tracks.tracks_NT2)
    if seen.shape != shape:
        raise UserError(
            f"{metric}: case {case.id} has tracks of shape {seen.shape}, expected {shape} "
            "(objects, frames, 2); the tracker must return one point per object and frame"
        )
    if np.shape(tracks.visible_NT) != shape[:2]:
        raise UserError(
            f"{metric}: case {case.id} has tracker visibility of shape {np.shape(tracks.visible_NT)}, "
            f"expected {shape[:2]} (objects, frames)"
        )
    if not np.isfinite(seen).all():
        n, t = np.argwhere(~np.isfinite(seen).all(axis=-1))[0]
        raise UserError(
            f"{metric}: case {case.id} has a tracked coordinate that is not a finite number at object {n}, "
            f"frame {t}; a lost point must keep its last place and be marked not visible"
        )
