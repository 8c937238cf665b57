"""Tracks that JSON files hold, checked point by point and brought to one length: DragAnything, DragNUWA and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from toraeval import geometry
from toraeval.trajectories.checks import MIN_POINTS, JsonFile, check_count, json_point, outline
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw
from toraeval.types import FloatArray, be, counted

Where = list[str | int]
STAND_STILL = "2 or more; give the point twice to stand still"


def pairs(file: JsonFile, where: Where, track: Any, least: int = MIN_POINTS) -> FloatArray:
    """Return a JSON list `[[x, y], ...]` as float64 (P, 2).

    Raises:
        UserError: it is not a list, has fewer than `least` points, or holds anything other than pairs of numbers.
    """
    if not isinstance(track, list):
        file.fail(where, "a track must be a list of points", outline(track), "[[x, y], ...]")
    if len(track) < least and not any(isinstance(value, int | float) for value in track):
        file.fail(where, "too few points", len(track), STAND_STILL)
    return np.array([json_point(file, [*where, i], point) for i, point in enumerate(track)])


def joined(
    file: JsonFile, tracks: Sequence[FloatArray], place: Callable[[int, int], Where], **facts: Any
) -> Raw:
    """Return tracks of (P, 2) points as (N, T, 2), the shorter ones resampled to the longest.

    Args:
        file: where they come from.
        tracks: one per object.
        place: where in the file a point of an object stands.
        facts: further fields of `Raw`.

    Raises:
        UserError: too many objects or points.
    """
    longest = max(len(track) for track in tracks)
    check_count(file.path, len(tracks), longest)
    short = [index for index, track in enumerate(tracks) if len(track) < longest]
    notes = facts.pop("notes", ())
    if short:
        are = f"{counted(len(short), 'shorter track')} {be(len(short))}"
        notes = (*notes, f"{are} brought to the {longest} points of the longest, evenly")
    values = [
        geometry.resample_points(track, longest)[0] if len(track) < longest else track for track in tracks
    ]

    def line(index: int, moment: int) -> int:
        return file.line_of(place(index, min(moment, len(tracks[index]) - 1)))

    return Raw(np.stack(values), notes=tuple(notes), line=line, **facts)


def _is_draganything(source: PathFile) -> bool:
    data = source.json.data
    return isinstance(data, dict) and bool(data) and all(key.strip().isdigit() for key in data)


def _draganything(source: PathFile) -> Raw:
    """Read `{"0": [[x, y], ...], ...}`; the ids become the objects' names."""
    file = source.json
    if not isinstance(file.data, dict) or not file.data:
        file.fail([], "no tracks", outline(file.data), '{"0": [[x, y], ...], ...}')
    ids = list(file.data)
    tracks = [pairs(file, [name], file.data[name]) for name in ids]
    return joined(file, tracks, lambda index, point: [ids[index], point], names=tuple(ids))


def _dragnuwa(source: PathFile) -> Raw:
    """Read a list of tracks `[[[x, y], ...], ...]`."""
    file = source.json
    if not isinstance(file.data, list) or not file.data:
        file.fail([], "no tracks", outline(file.data), "a list of tracks [[[x, y], ...], ...]")
    tracks = [pairs(file, [index], track) for index, track in enumerate(file.data)]
    return joined(file, tracks, lambda index, point: [index, point], default_canvas=geometry.DRAGNUWA_CANVAS)


FORMATS = (
    Format(
        "draganything",
        ("json",),
        _is_draganything,
        _draganything,
        'JSON {"id": [[x,y],...], ...} (DragAnything)',
    ),
    Format(
        "dragnuwa",
        ("json",),
        lambda source: isinstance(source.json.data, list),  # ComfyUI's lists are recognised before
        _dragnuwa,
        "JSON [[[x,y],...],...] (DragNUWA)",
        geometry.DRAGNUWA_CANVAS,
    ),
)
