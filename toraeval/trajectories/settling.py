"""From the numbers of a path file to trajectories: layout, units and canvas are settled here, and only here.

What a file does not say is taken from the options, then from the clip, then from the format; where two readings remain
possible the file is refused with both. Every assumption becomes a note.

Shape legend: N objects, T moments, A and B two axes of which one is N and the other T.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from toraeval import geometry
from toraeval.trajectories.checks import (
    MIN_POINTS,
    canvas_rule,
    check_count,
    fail,
    fill_hidden,
    outside_point,
    tiny,
)
from toraeval.trajectories.reading import Canvas, ClipFacts, PathReading, Raw
from toraeval.types import BoolArray, FloatArray, Trajectories, counted

_CLIP_SIZE = "the clip's size"
_SETTLED = re.compile(rf"canvas \d+x\d+, (?P<rule>{_CLIP_SIZE}|the one).* of format (?P<format>\w+)")
_SHAPES = {"nt": "(N,T,2)", "tn": "(T,N,2)"}


def settle(path: Path, format: str, raw: Raw, reading: PathReading, clip: ClipFacts) -> Trajectories:
    """Return the trajectories of a file.

    Args:
        path: the file, for messages.
        format: name of its format, for messages and notes.
        raw: what its reader found.
        reading: options.
        clip: the clip, as far as it is known.

    Raises:
        UserError: layout, units or canvas cannot be determined, a place is unknown where it is visible, or a visible
            point lies outside the canvas.
    """
    order, notes = _order(path, raw, reading, clip)
    if order == "tn":
        raw = _turned(raw)
    tracks = raw.values
    count, moments = tracks.shape[:2]
    check_count(path, count, moments)
    if raw.names and len(raw.names) != count:
        fail(path, "one name per object", counted(len(raw.names), "name"), counted(count, "name"))
    visible = np.ones((count, moments), dtype=bool) if raw.visible is None else raw.visible
    tracks = _filled(path, raw, visible)
    units = _units(path, raw, reading, tracks, visible)
    canvas, assumed = _canvas(path, format, raw, units, reading, clip, tracks, visible)
    converted: tuple[str, ...] = ()
    if units != "pixels":
        tracks, converted = _to_pixels(path, units, reading, tracks, visible, canvas)
    for index in range(count):
        moment = outside_point(tracks[index], visible[index], canvas)
        if moment is not None:
            other = "" if raw.canvas else reading.advice(", or another canvas=[width,height]")
            allowed = canvas_rule(canvas) + other
            _refuse(path, raw, index, moment, "the point lies outside the canvas", allowed)
    notes = (*raw.notes, *notes, *assumed, *converted)
    return Trajectories(tracks, visible, canvas, raw.fps, str(path), raw.names or ("",) * count, notes)


def _turned(raw: Raw) -> Raw:
    visible = None if raw.visible is None else raw.visible.T
    return replace(
        raw,
        values=raw.values.transpose(1, 0, 2),
        visible=visible,
        line=lambda index, moment: raw.line(moment, index),
    )


def _filled(path: Path, raw: Raw, visible: BoolArray) -> FloatArray:
    """Return (N,T,2) without NaN, which only hidden points may be."""
    known = np.asarray(np.isfinite(raw.values).all(axis=-1), dtype=np.bool_)
    never = np.broadcast_to(~known.any(axis=1, keepdims=True), known.shape)
    bad = np.argwhere((visible | never) & ~known)
    if len(bad):
        index, moment = (int(place) for place in bad[0])
        rule = "finite numbers, or NaN where visible is False; every object is known somewhere"
        _refuse(path, raw, index, moment, "not a finite number", rule)
    return np.stack([fill_hidden(*pair) for pair in zip(raw.values, known, strict=True)])


def _refuse(path: Path, raw: Raw, index: int, moment: int, rule: str, allowed: str) -> NoReturn:
    place = raw.line(index, moment)
    x, y = (float(value) for value in raw.values[index, moment])
    where = "" if place else f" at object {index + 1}, moment {moment + 1}"
    fail(path, rule, f"{x:g},{y:g}{where}", allowed, line=place)


def _order(path: Path, raw: Raw, reading: PathReading, clip: ClipFacts) -> tuple[str, tuple[str, ...]]:
    a, b = raw.values.shape[:2]
    moments = {order: count for order, count in (("nt", b), ("tn", a)) if count >= MIN_POINTS and min(a, b)}
    if raw.order != "either" and (raw.certain or reading.layout == "auto"):
        moments = {raw.order: moments[raw.order]} if raw.order in moments else {}
    wrong = f"{_SHAPES['nt']}, {_SHAPES['tn']} or (T,2) with T >= {MIN_POINTS}"
    if not moments or (reading.layout != "auto" and reading.layout not in moments and not raw.certain):
        fail(path, "wrong shape", f"{raw.values.shape} with layout={reading.layout}", wrong)
    if raw.certain:
        return raw.order, ()
    if reading.layout != "auto":
        return reading.layout, (f"layout={reading.layout} as asked",)
    fitting = [order for order, count in (("nt", b), ("tn", a)) if count == clip.frames]
    if raw.order != "either":
        if len(fitting) == 1 and fitting[0] != raw.order and a >= MIN_POINTS and b >= MIN_POINTS:
            why = f"the format means {raw.order}, the clip's length says {fitting[0]}"
            _two_orders(path, reading, (a, b), why)
        return raw.order, ()
    if len(moments) == 1:
        (order,) = moments
        return order, () if order == "nt" else (f"{counted(a, 'moment')} of {b} object, layout (T,N,2)",)
    if len(fitting) == 1:
        order = fitting[0]
        objects, length = (a, b) if order == "nt" else (b, a)
        of_clip = f"{counted(length, 'moment')}, as in the clip"
        return order, (f"layout {_SHAPES[order]}: {of_clip}, of {counted(objects, 'object')}",)
    _two_orders(path, reading, (a, b), "nothing tells which")


def _two_orders(path: Path, reading: PathReading, shape: tuple[int, int], why: str) -> NoReturn:
    a, b = shape
    fail(
        path,
        "the layout can be read in two ways",
        f"shape ({a}, {b}, 2): {counted(a, 'object')} over {counted(b, 'moment')}, or {counted(b, 'object')} over "
        f"{counted(a, 'moment')}; {why}",
        reading.advice("layout=nt for the first, layout=tn for the second") or "a file that says which",
    )


def _units(path: Path, raw: Raw, reading: PathReading, tracks: FloatArray, visible: BoolArray) -> str:
    if raw.units == "stated":
        return "pixels"
    if reading.units != "auto":
        return reading.units
    seen = tracks[visible] if visible.any() else tracks
    if raw.units == "pixels" and tiny(seen):
        fail(
            path,
            "the coordinates look like fractions of the frame",
            f"values from {seen.min():g} to {seen.max():g}",
            reading.advice("units=normalised if they are, units=pixels if they are pixels")
            or "pixels of the picture",
        )
    return raw.units


def _canvas(
    path: Path,
    format: str,
    raw: Raw,
    units: str,
    reading: PathReading,
    clip: ClipFacts,
    tracks: FloatArray,
    visible: BoolArray,
) -> tuple[Canvas, tuple[str, ...]]:
    given = reading.canvas_of(clip)
    if units != "pixels":  # fractions fit every canvas, so the one they end on anyway is the best
        canvas = given or clip.size or raw.canvas or raw.default_canvas
        if canvas is None:
            fail(
                path,
                "the canvas is not known",
                "none",
                reading.advice("canvas=[width,height]") or "a picture beside it",
            )
        return canvas, ()
    if raw.canvas is not None:
        return agreed(path, raw.canvas, given), ()
    if given is not None:
        return given, ()
    default, own = raw.default_canvas, clip.size
    if own is None:
        if default is None:
            allowed = reading.advice("canvas=[width,height], or ") + "a file that states it"
            fail(path, "the canvas is not known", "none", allowed)
        return default, (f"canvas {_sides(default)}, the one of format {format}, as the file states none",)
    fits = [c for c in dict.fromkeys((own, default)) if c and _fits(tracks, visible, c)]
    if len(fits) > 1:
        fail(
            path,
            "the canvas can be read in two ways",
            f"no canvas in the file, and all points fit both the clip ({_sides(own)}) and the canvas of format "
            f"{format} ({_sides(default or own)})",
            f"canvas=clip for the first, canvas=[{(default or own)[0]},{(default or own)[1]}] for the second",
        )
    if fits and fits[0] != own:
        why = f"the points do not fit the clip ({_sides(own)})"
        return fits[0], (f"canvas {_sides(fits[0])}, the one of format {format}: {why}",)
    return own, (f"canvas {_sides(own)}, the clip's size, as the file of format {format} states none",)


def check_one_canvas(paths: Iterable[Trajectories]) -> None:
    """Refuse files of one format of which some fit their clip only and others the canvas of their format only.

    Raises:
        UserError: the canvas has to be given, because one tool is unlikely to have written both.
    """
    rules: dict[str, dict[str, str]] = {}
    for given in paths:
        for note in given.notes:
            match = _SETTLED.match(note)
            if match:
                rules.setdefault(match["format"], {})[match["rule"]] = given.source
    for format, files in rules.items():
        if len(files) > 1:
            fail(
                files["the one"],
                f"files of format {format} were read on two kinds of canvas",
                f"{files[_CLIP_SIZE]} fits its clip only, this one the canvas of its format only",
                "canvas=clip or canvas=[width,height] for all",
            )


def _fits(tracks: FloatArray, visible: BoolArray, canvas: Canvas) -> bool:
    return bool(geometry.inside_canvas(tracks, canvas)[visible].all())


def _sides(canvas: Canvas) -> str:
    return f"{canvas[0]}x{canvas[1]}"


def agreed(path: Path, stated: Canvas, given: Canvas | None) -> Canvas:
    """Return the canvas that a file states, which the one that was asked for must not contradict."""
    if given is not None and tuple(given) != tuple(stated):
        allowed = f"{stated}, or no canvas argument"
        fail(path, "the file states its own canvas", f"canvas={given}", allowed)
    return stated


def _to_pixels(
    path: Path, units: str, reading: PathReading, tracks: FloatArray, visible: BoolArray, canvas: Canvas
) -> tuple[FloatArray, tuple[str, ...]]:
    seen = tracks[visible] if visible.any() else tracks
    low, high = (-1.0, 1.0) if units == "signed" or (units == "normalised" and seen.min() < 0) else (0.0, 1.0)
    slack = 1e-6
    if seen.min() < low - slack or seen.max() > high + slack:
        what = f"values from {seen.min():g} to {seen.max():g}" + reading.advice(f" with units={units}")
        fail(
            path,
            "the coordinates are not fractions",
            what,
            f"{low:g} to {high:g}" + reading.advice(", or units=pixels"),
        )
    size = np.asarray(canvas, dtype=np.float64)
    unit = (tracks - low) / (high - low)
    pixels = {"tapnet": unit * size - 0.5, "cotracker": unit * (size - 1)}.get(units, unit * size)
    rule = {"tapnet": "u * width - 0.5", "cotracker": "u * (width - 1)"}.get(units, "u * width")
    if low < 0:
        rule = "(u + 1) / 2 * width"
    # The far border is w - 0.5 here and w there: the last half pixel of the frame is drawn in.
    pixels[visible] = np.clip(pixels[visible], -0.5, size - 0.5)
    return pixels, (f"fractions in {low:g}..{high:g} read as x = {rule} on {_sides(canvas)} (units={units})",)
