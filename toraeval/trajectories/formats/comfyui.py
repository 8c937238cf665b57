"""Tracks of ComfyUI nodes (splines, Wan tracks): lists of `{"x": .., "y": ..}`, often as text inside JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from toraeval.inputs.text_files import parse_json
from toraeval.trajectories.checks import JsonFile, json_number, outline
from toraeval.trajectories.formats.json_tracks import STAND_STILL, Where, joined
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw
from toraeval.types import FloatArray

_SHAPE = '[{"x": 1, "y": 2}, ...], a list of such lists, or these as text'


def fits(source: PathFile) -> bool:
    """Tell whether the first point is an object, or the tracks stand in text."""
    data = source.json.data
    while isinstance(data, list) and data:
        data = data[0]
    return isinstance(data, str) or (
        isinstance(data, dict) and isinstance(source.json.data, list) and {"x", "y"} <= set(data)
    )


def read(source: PathFile) -> Raw:
    """Read one track or several.

    Raises:
        UserError: wrong types, or a track with fewer than 2 points.
    """
    file = source.json
    data, where = _unpacked(file, [], file.data)
    if not isinstance(data, list) or not data:
        file.fail([], "no tracks", outline(data), _SHAPE)
    if isinstance(data[0], dict):
        tracks, places = [(data, where)], [where]
    else:
        tracks = [_unpacked(file, [*where, index], track) for index, track in enumerate(data)]
        places = [place for _, place in tracks]
    extra: set[str] = set()
    points = [_points(file, place, track, extra) for track, place in tracks]
    notes = (f"left out of its points: {', '.join(sorted(extra))}",) if extra else ()
    inside = file.data is data  # text inside JSON has no lines of its own
    return joined(file, points, lambda i, p: [*places[i], p] if inside else places[i], notes=notes)


def _unpacked(file: JsonFile, where: Where, value: Any) -> tuple[Any, Where]:
    """Return what a value means that may be text with JSON in it; single quotes are taken as double ones."""
    if not isinstance(value, str):
        return value, where
    for text in (value, value.replace("'", '"')):
        try:
            return parse_json(text), where
        except ValueError:
            continue
    file.fail(where, "text that is not a track", outline(value), _SHAPE)


def _points(file: JsonFile, where: Where, track: Any, extra: set[str]) -> FloatArray:
    if not isinstance(track, list):
        file.fail(where, "a track must be a list of points", outline(track), _SHAPE)
    if len(track) < 2:
        file.fail(where, "too few points", len(track), STAND_STILL)
    points = []
    for index, point in enumerate(track):
        place = [*where, index]
        if not isinstance(point, dict) or not {"x", "y"} <= set(point):
            file.fail(place, "a point must have x and y", point, '{"x": 1, "y": 2}')
        if not point.get("visible", True):
            file.fail(place, "a hidden point", json.dumps(point), "tracks whose points are all visible")
        extra |= set(point) - {"x", "y"}
        points.append([json_number(file, [*place, key], point[key]) for key in ("x", "y")])
    return np.array(points)


FORMATS = (
    Format("comfyui", ("json",), fits, read, 'JSON [[{"x":1,"y":2},...],...] (ComfyUI splines and tracks)'),
)
