"""The benchmark's own trajectory format: JSON with canvas, paths, visibility, prompt and first frame.

Documented in docs/trajectories.md. One file holds one case, or several under "cases".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.inputs.text_files import is_file
from toraeval.trajectories.checks import (
    MIN_POINTS,
    JsonFile,
    canvas_rule,
    check_count,
    fill_hidden,
    json_number,
    json_point,
    outline,
    outside_point,
    tiny,
)
from toraeval.types import BoolArray, FloatArray, Trajectories, counted

FORMAT = "toraeval-trajectories"
VERSION = 1
PIXELS = "pixels"
_SHARED_KEYS = ("canvas", "units", "fps")
_CASE_KEYS = (
    "id", "canvas", "units", "fps", "points", "visible", "names", "camera", "prompt", "first_frame", "last_frame"
)  # fmt: skip


@dataclass(frozen=True)
class NativeCase:
    """One case of a native file.

    Attributes:
        id: name given in the file, or the file's stem.
        trajectories: paths on the canvas that the file states.
        prompt: caption, or an empty string.
        first_frame, last_frame: image files, resolved against the folder of the JSON file, or None.
        camera: paths of background points on the same canvas, given to generators and never scored, or None.
        clip, second_take: real clips of the scene that lie beside the file, or None; never written.
    """

    id: str
    trajectories: Trajectories
    prompt: str = ""
    first_frame: Path | None = None
    last_frame: Path | None = None
    camera: Trajectories | None = None
    clip: Path | None = None
    second_take: Path | None = None


def read_native(path: str | os.PathLike[str]) -> list[NativeCase]:
    """Read a native file.

    Returns:
        One entry per case, in file order.

    Raises:
        UserError: the file breaks a rule of docs/trajectories.md; the line names file, line and rule.
    """
    return parse_native(JsonFile(Path(path)))


def is_native(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is JSON in the native format, or means to be.

    Raises:
        UserError: a `.json` file that cannot be read as JSON.
    """
    path = Path(path)
    return path.suffix.lower() == ".json" and looks_native(JsonFile(path).data)


def looks_native(data: Any) -> bool:
    """Tell whether parsed JSON is an object with a key that only the native format has at its top."""
    return isinstance(data, dict) and bool({"format", "points", "cases"} & set(data))


def parse_native(file: JsonFile) -> list[NativeCase]:
    """Check and convert an already parsed native file, as `read_native` does."""
    data = file.data
    if not isinstance(data, dict):
        file.fail([], "the file must be a JSON object", outline(data), f'{{"format": "{FORMAT}", ...}}')
    if data.get("format") != FORMAT:
        file.fail(["format"], "unknown format", data.get("format"), f'"{FORMAT}"')
    if data.get("version") != VERSION or isinstance(data.get("version"), bool):
        file.fail(["version"], "unknown format version", data.get("version"), str(VERSION))
    if "cases" not in data:
        _refuse_unknown(file, [], data, ("format", "version", *_CASE_KEYS))
        return [_case(file, [], data, file.path.stem)]
    _refuse_unknown(file, [], data, ("format", "version", "cases", *_SHARED_KEYS))
    entries = data["cases"]
    if not isinstance(entries, list) or not entries:
        file.fail(["cases"], "no cases", entries, "a list of at least one case")
    shared = {key: data[key] for key in _SHARED_KEYS if key in data}
    cases: list[NativeCase] = []
    for index, entry in enumerate(entries):
        where: list[str | int] = ["cases", index]
        if not isinstance(entry, dict):
            file.fail(where, "a case must be an object", entry, '{"id": ..., "points": ...}')
        _refuse_unknown(file, where, entry, _CASE_KEYS)
        if not isinstance(entry.get("id"), str) or not entry["id"].strip():
            file.fail([*where, "id"], "a case needs an id", entry.get("id"), "a non-empty string")
        if entry["id"] in {case.id for case in cases}:
            file.fail([*where, "id"], "the id occurs twice", entry["id"], "one case per id")
        cases.append(_case(file, where, {**shared, **entry}, entry["id"]))
    return cases


def _case(file: JsonFile, where: Sequence[str | int], data: Mapping[str, Any], default_id: str) -> NativeCase:
    canvas = _canvas(file, where, data)
    fps = None
    if data.get("fps") is not None:
        fps = json_number(file, [*where, "fps"], data["fps"], "a number above 0")
        if fps <= 0:
            file.fail([*where, "fps"], "fps must be positive", fps, "a number above 0")
    tracks, visible = _tracks(file, [*where, "points"], data, canvas)
    _check_units(file, where, data, tracks[visible] if visible.any() else tracks)
    names = data.get("names", [""] * len(tracks))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        file.fail([*where, "names"], "names must be strings", names, "a list of strings")
    if len(names) != len(tracks):
        file.fail(
            [*where, "names"],
            "one name per object",
            counted(len(names), "name"),
            counted(len(tracks), "name"),
        )
    identifier = data.get("id", default_id)
    source = str(file.path) if identifier == file.path.stem else f"{file.path}#{identifier}"
    camera = None
    if data.get("camera") is not None:
        if not isinstance(data["camera"], dict):
            file.fail([*where, "camera"], "no paths", data["camera"], '{"points": [[[x, y], ...], ...]}')
        _refuse_unknown(file, [*where, "camera"], data["camera"], ("points", "visible"))
        background = _tracks(file, [*where, "camera", "points"], data["camera"], canvas)
        camera = Trajectories(*background, canvas, fps, f"{source} camera")
    return NativeCase(
        id=_string(file, where, data, "id") or default_id,
        trajectories=Trajectories(tracks, visible, canvas, fps, source, tuple(names)),
        prompt=_string(file, where, data, "prompt"),
        first_frame=_picture(file, where, data, "first_frame"),
        last_frame=_picture(file, where, data, "last_frame"),
        camera=camera,
    )


def _canvas(file: JsonFile, where: Sequence[str | int], data: Mapping[str, Any]) -> tuple[int, int]:
    canvas = data.get("canvas")
    sides = canvas if isinstance(canvas, list) else []
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= 65536 for side in sides):
        file.fail(
            [*where, "canvas"], "wrong canvas", canvas, "[width, height] in whole pixels, 1..65536 each"
        )
    return sides[0], sides[1]


def _check_units(
    file: JsonFile, where: Sequence[str | int], data: Mapping[str, Any], seen: FloatArray
) -> None:
    if data.get("units") not in (None, PIXELS):
        file.fail([*where, "units"], "wrong units", data["units"], f'"{PIXELS}"')
    if data.get("units") is None and tiny(seen) and (seen % 1).any():  # whole numbers are pixels
        file.fail(
            [*where, "points"],
            "the coordinates look like fractions of the frame",
            f"values from {seen.min():g} to {seen.max():g}",
            f'pixels of the canvas, or "units": "{PIXELS}" in the file where they are',
        )


def _tracks(
    file: JsonFile, where: list[str | int], data: Mapping[str, Any], canvas: tuple[int, int]
) -> tuple[FloatArray, BoolArray]:
    objects = data.get("points")
    if not isinstance(objects, list) or not objects:
        file.fail(where, "no paths", objects, "a list with one path [[x, y], ...] per object")
    check_count(file.path, len(objects), max(len(p) if isinstance(p, list) else 0 for p in objects))
    visible = data.get("visible")
    if visible is not None and (not isinstance(visible, list) or len(visible) != len(objects)):
        file.fail(
            [*where[:-1], "visible"], "one visibility list per object", visible, f"{len(objects)} lists"
        )
    tracks: list[FloatArray] = []
    seen: list[BoolArray] = []
    for index, points in enumerate(objects):
        flags = None if visible is None else visible[index]
        track, flag = _path(file, [*where, index], points, flags, canvas)
        if tracks and len(track) != len(tracks[0]):
            file.fail(
                [*where, index],
                "all objects of a case share their moments",
                f"{counted(len(track), 'point')} after {len(tracks[0])}",
                "equally many points per object, null where an object is hidden",
            )
        tracks.append(track)
        seen.append(flag)
    return np.stack(tracks), np.stack(seen)


def _path(
    file: JsonFile, where: list[str | int], points: Any, flags: Any, canvas: tuple[int, int]
) -> tuple[FloatArray, BoolArray]:
    if not isinstance(points, list):
        file.fail(where, "a path must be a list of points", points, "[[x, y], ...]")
    if len(points) < MIN_POINTS:
        file.fail(where, "too few points", len(points), "2 or more; give the point twice to stand still")
    if flags is not None and (
        not isinstance(flags, list)
        or len(flags) != len(points)
        or not all(isinstance(flag, bool) for flag in flags)
    ):
        place = [*where[:-2], "visible", where[-1]]
        file.fail(place, "wrong visibility", flags, f"{counted(len(points), 'time')} true or false")
    known = np.array([point is not None for point in points])
    visible = known & (True if flags is None else np.array(flags, dtype=bool))
    if flags is not None and (np.array(flags) & ~known).any():
        moment = int(np.flatnonzero(np.array(flags) & ~known)[0])
        file.fail([*where, moment], "null means hidden", "visible true", "visible false, or a point")
    if not known.any():
        file.fail(where, "a path needs a known point", "null everywhere", "at least one [x, y]")
    values = [
        (0.0, 0.0) if point is None else json_point(file, [*where, i], point)
        for i, point in enumerate(points)
    ]
    track = fill_hidden(np.array(values, dtype=np.float64), known)
    bad = outside_point(track, visible, canvas)
    if bad is not None:
        rule = f"{canvas_rule(canvas)}; outside only where hidden"
        file.fail([*where, bad], "the point lies outside the canvas", points[bad], rule)
    return track, visible


def _string(file: JsonFile, where: Sequence[str | int], data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        file.fail([*where, key], "not a string", value, "a string")
    return value


def _picture(file: JsonFile, where: Sequence[str | int], data: Mapping[str, Any], key: str) -> Path | None:
    name = _string(file, where, data, key)
    if not name:
        return None
    path = file.path.parent / name
    if not is_file(path):
        file.fail([*where, key], "no such image", name, f"an image file relative to {file.path.parent}")
    return path


def _refuse_unknown(
    file: JsonFile, where: Sequence[str | int], data: Mapping[str, Any], allowed: Sequence[str]
) -> None:
    for key in data:
        if key not in allowed:
            file.fail([*where, key], "unknown field", key, ", ".join(allowed))
