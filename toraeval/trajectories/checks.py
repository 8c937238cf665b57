"""The rules every trajectory file must keep, and error lines that say where one was broken."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from toraeval import geometry
from toraeval.inputs.text_files import exists, parse_json, read_text, shown
from toraeval.types import BoolArray, FloatArray, UserError, counted

MIN_POINTS = 2
MAX_OBJECTS = 2048  # tracked and scored one after the other: some 15 ms each per 16 frames
MAX_MOMENTS = 100_000
MAX_POINTS = 4_000_000
SHOWN_TEXT = 40
_SPACE = re.compile(r"[ \t\r\n]*")


def fail(path: Path | str, rule: str, got: Any, allowed: str, line: int | None = None) -> NoReturn:
    """Raise the one-line UserError `file:line: rule; got ...; allowed ...`."""
    value = shown(" ".join(got.split()), 300) if isinstance(got, str) else _short(got)
    place = shown(path, 1000) + (f":{line}" if line else "")
    raise UserError(f"{place}: {rule}; got {value}; allowed: {allowed}")


def _short(value: Any) -> str:
    text = " ".join(reprlib.repr(value).split())  # bounded in depth and length
    return text if len(text) <= 60 else f"{text[:57]}..."


def path_text(path: Path) -> str:
    """Return a trajectory file's text, in one of the encodings of `read_text`.

    Raises:
        UserError: the file is absent, unreadable, empty or not text.
    """
    if not exists(path):
        raise UserError(f"{shown(path)}: no such trajectory file")
    text = read_text(path)
    if not text.strip():
        fail(path, "the file is empty", f"{len(text)} characters", "one point a line, or JSON")
    return text


def outline(data: Any) -> str:
    """Return in words what a JSON value is: kind, size and beginning."""
    if isinstance(data, dict):
        names = shown(", ".join(list(data)[:6])) + (", ..." if len(data) > 6 else "")
        return f"an object with {names}" if data else "an empty object"
    if isinstance(data, list):
        return f"a list of {len(data)}, the first being {outline(data[0])}" if data else "an empty list"
    if isinstance(data, str):
        begins = "" if len(data) <= SHOWN_TEXT else ", which begins"
        told = json.dumps(data[:SHOWN_TEXT], ensure_ascii=False)
        return f"a text of {counted(len(data), 'character')}{begins} {told}"
    return f"the number {_short(data)}" if type(data) in (int, float) else json.dumps(data)


class JsonFile:
    """A parsed JSON file that can name the line of each of its values."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.text = path_text(path) if text is None else text
        try:
            self.data: Any = parse_json(self.text)
        except json.JSONDecodeError as error:
            fail(path, "not valid JSON", error.msg, "JSON as in docs/trajectories.md", line=error.lineno)
        except ValueError as error:
            fail(path, "not valid JSON", str(error), "JSON as in docs/trajectories.md")

    def fail(self, where: Sequence[str | int], rule: str, got: Any, allowed: str) -> NoReturn:
        """Raise the one-line UserError for the value at `where`, a path of keys and indices."""
        names = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in where).lstrip(".")
        fail(self.path, f"{names}: {rule}" if names else rule, got, allowed, line=self.line_of(where))

    def line_of(self, where: Sequence[str | int]) -> int:
        """Return the line, from 1, on which the value at `where` starts; for a missing key, its container's."""
        decoder = json.JSONDecoder()
        position = self._skip(0)
        for key in where:
            found = self._enter(decoder, position, key)
            if found is None:
                break
            position = found
        return self.text.count("\n", 0, position) + 1

    def _enter(self, decoder: json.JSONDecoder, position: int, key: str | int) -> int | None:
        is_object = self.text[position] == "{"
        if is_object == isinstance(key, int) or self.text[position] not in "{[":
            return None
        position = self._skip(position + 1)
        index = 0
        while self.text[position] not in "}]":
            name: Any = index
            if is_object:
                name, position = decoder.raw_decode(self.text, position)
                position = self._skip(self._skip(position) + 1)
            if name == key:
                return position
            position = self._skip(decoder.raw_decode(self.text, position)[1])
            position = self._skip(position + (self.text[position] == ","))
            index += 1
        return None

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        return match.end() if match else position


def json_number(
    file: JsonFile, where: Sequence[str | int], value: Any, allowed: str = "a finite number"
) -> float:
    """Return a JSON number as float.

    Raises:
        UserError: it is not a number (true and false are not) or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        file.fail(where, "not a number", value, allowed)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        file.fail(where, "not a finite number", str(number), allowed)
    return number


def json_point(file: JsonFile, where: Sequence[str | int], value: Any) -> tuple[float, float]:
    """Return a JSON `[x, y]` as two floats.

    Raises:
        UserError: it is not a list of exactly two finite numbers.
    """
    if not isinstance(value, list) or len(value) != 2:
        file.fail(where, "a point must be a pair", value, "[x, y]")
    return json_number(file, [*where, 0], value[0]), json_number(file, [*where, 1], value[1])


def outside_point(points_P2: FloatArray, visible_P: BoolArray, canvas: tuple[int, int]) -> int | None:
    """Return the index of the first visible point outside the canvas, or None."""
    bad = visible_P & ~geometry.inside_canvas(points_P2, canvas)
    return int(np.flatnonzero(bad)[0]) if bad.any() else None


def check_count(path: Path | str, objects: int, moments: int) -> None:
    """Refuse more paths than can be tracked in reasonable time, before memory is taken for them.

    Raises:
        UserError: too many objects, moments or points.
    """
    if objects > MAX_OBJECTS or moments > MAX_MOMENTS or objects * moments > MAX_POINTS:
        allowed = f"{MAX_OBJECTS} objects, {MAX_MOMENTS} moments, {MAX_POINTS:,} points; leave some out"
        fail(path, "too many", f"{counted(objects, 'object')} of up to {counted(moments, 'moment')}", allowed)


def tiny(points: FloatArray) -> bool:
    """Tell whether coordinates are fractions of a frame, if they are not a path inside one corner pixel.

    Fractions of a path that leaves the frame run beyond 1, so a tenth of them may, up to four frames away.
    """
    size = np.abs(points)
    return bool((size <= 1.5).all()) or bool((size <= 1.5).mean() >= 0.9 and size.max() <= 5)


def canvas_rule(canvas: tuple[int, int]) -> str:
    """Say which coordinates a canvas allows."""
    width, height = canvas
    return f"x in -0.5..{width - 0.5:g} and y in -0.5..{height - 0.5:g} on the {width}x{height} canvas"


def check_canvas(source: str, canvas: Any) -> tuple[int, int]:
    """Return a canvas as two whole numbers.

    Raises:
        UserError: it is not (width, height) in whole pixels, each from 1 to 65536.
    """
    sides = list(canvas) if isinstance(canvas, Sequence | np.ndarray) and not isinstance(canvas, str) else []
    good = len(sides) == 2 and all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and 1 <= side <= 65536
        for side in sides
    )
    if not good:
        fail(source, "wrong canvas", canvas, "[width, height] in whole pixels, 1..65536 each")
    return int(sides[0]), int(sides[1])


def fill_hidden(points_P2: FloatArray, known_P: BoolArray) -> FloatArray:
    """Fill unknown points by linear interpolation over the index, holding the first and last known ones."""
    index = np.arange(len(points_P2))
    filled = points_P2.copy()
    for axis in range(2):
        filled[:, axis] = np.interp(index, index[known_P], points_P2[known_P, axis])
    filled[known_P] = points_P2[known_P]
    return filled
