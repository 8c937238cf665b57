"""Tables with one point a line: `frame,x,y[,object][,visible]` under a header, or `frame,x,y` without one.

Shape legend: N objects, T moments.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np

from toraeval.inputs.text_files import split_lines
from toraeval.trajectories.checks import check_count, fail
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.formats.text import number
from toraeval.trajectories.reading import Raw
from toraeval.types import counted

COLUMN_NAMES = {
    "frame": "frame", "x": "x", "y": "y", "object": "object", "object_id": "object", "id": "object",
    "track": "object", "track_id": "object", "visible": "visible", "visibility": "visible", "occluded": "occluded",
}  # fmt: skip
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")
_ALLOWED = "the columns x,y and optionally frame, object, visible or occluded"


def fits(source: PathFile) -> bool:
    """Tell whether the first line names columns, or every line is a frame's number, x and y."""
    head = _cells(source)[0][1]
    return bool(_names(head)) or len(head) == 3


def read(source: PathFile) -> Raw:
    """Read a table; frames in which no object is given are filled in by straight lines.

    Raises:
        UserError: columns or cells that are not understood, a point given twice, or frames that do not start at 0 or 1.
    """
    rows = _cells(source)
    names, notes = _names(rows[0][1]), []
    if names:
        rows = rows[1:]
        _check_columns(source, names)
    else:
        names = _unnamed(source, rows)
        notes.append("three columns without a header read as frame,x,y")
    points: dict[str, dict[int, tuple[float, float, bool, int]]] = {}
    for place, cells in rows:
        if len(cells) != len(names):
            got = f"{counted(len(cells), 'cell')} under {counted(len(names), 'column')}"
            fail(source.path, "a line must fill every column", got, ",".join(names), line=place)
        row = dict(zip(names, cells, strict=True))
        track = points.setdefault(row.get("object", ""), {})
        frame = _frame(source, place, row["frame"]) if "frame" in row else len(track)
        if frame in track:
            got = f"frame {frame} of object {row.get('object') or 'without name'} again"
            allowed = "one point per frame and object; name the objects in a column object"
            fail(source.path, "a point is given twice", got, allowed, line=place)
        seen = _flag(source, place, row.get("visible", "1")) and not _flag(
            source, place, row.get("occluded", "0")
        )
        hidden = not seen and not (row["x"] and row["y"])  # a hidden point needs no place
        x, y = (np.nan, np.nan) if hidden else (number(source, place, row[key]) for key in ("x", "y"))
        track[frame] = (x, y, seen, place)
    if not points:
        fail(source.path, "the table is empty", "a header alone", "a line per point")
    return _raw(source, points, notes, "frame" in names)


def _raw(
    source: PathFile,
    points: dict[str, dict[int, tuple[float, float, bool, int]]],
    notes: list[str],
    numbered: bool,
) -> Raw:
    frames = sorted({frame for track in points.values() for frame in track})
    if frames[0] > 1:
        fail(source.path, "the frames start late", f"frame {frames[0]} first", "frame numbers from 0 or 1")
    count = frames[-1] - frames[0] + 1
    check_count(source.path, len(points), count)
    values = np.full((len(points), count, 2), np.nan)
    visible = np.zeros((len(points), count), dtype=bool)
    lines = np.zeros((len(points), count), dtype=int)
    given = np.zeros(count, dtype=bool)
    for index, track in enumerate(points.values()):
        for frame, (x, y, seen, place) in track.items():
            values[index, frame - frames[0]] = x, y
            visible[index, frame - frames[0]], lines[index, frame - frames[0]] = seen, place
        given[np.array(list(track)) - frames[0]] = True
    if not given.all():  # between key frames the object is there; missing beside others it is hidden
        absent = int((~given).sum())
        told = f"{counted(absent, 'frame')} that the table leaves out"
        notes.append(f"{told} {'lies' if absent == 1 else 'lie'} on straight lines")
        _fill_key_frames(values, visible, given)
    short = sum(len(track) < given.sum() for track in points.values())
    if short:
        what = "frames of others" if numbered else "lines"
        has = f"{counted(short, 'object')} {'has' if short == 1 else 'have'}"
        notes.append(f"{has} fewer {what} than the longest: hidden there")
    names = tuple(points) if len(points) > 1 else ("",) * len(points)
    return Raw(
        values,
        visible=visible,
        names=names,
        notes=tuple(notes),
        line=lambda index, moment: int(lines[index, moment]) or None,
        certain=True,
    )


def _fill_key_frames(values: np.ndarray, visible: np.ndarray, given: np.ndarray) -> None:
    moments = np.arange(len(given))
    for track, seen in zip(values, visible, strict=True):
        known = np.isfinite(track).all(axis=-1)
        if not known.any():
            continue
        for axis in range(2):
            track[~given, axis] = np.interp(moments[~given], moments[known], track[known, axis])
        before = np.maximum.accumulate(np.where(given, moments, 0))
        after = np.minimum.accumulate(np.where(given, moments, len(given) - 1)[::-1])[::-1]
        seen[~given] = (seen[before] & seen[after])[~given]


def _cells(source: PathFile) -> list[tuple[int, list[str]]]:
    lines = [(place, line) for place, line in enumerate(split_lines(source.text), start=1) if line.strip()]
    mark = max(",;\t", key=lines[0][1].count)
    cut = csv.reader([line for _, line in lines], delimiter=mark)
    try:
        return [
            (place, [cell.strip() for cell in cells]) for (place, _), cells in zip(lines, cut, strict=True)
        ]
    except (csv.Error, ValueError) as error:  # ValueError: fewer rows than lines
        reason = str(error) if isinstance(error, csv.Error) else "a quoted cell that runs over a line end"
        fail(source.path, "not a readable table", reason, "one line per point, cells without line ends")


def _names(head: Sequence[str]) -> list[str]:
    words = [re.sub(r"\s+", "_", cell.strip().strip("#").strip().lower()) for cell in head]
    return [COLUMN_NAMES.get(word, word) for word in words] if {"x", "y"} & set(words) else []


def _check_columns(source: PathFile, names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMN_NAMES.values()]
    if unknown or len(set(names)) < len(names) or not {"x", "y"} <= set(names):
        fail(source.path, "unknown columns", ",".join(unknown or names), _ALLOWED, line=1)


def _unnamed(source: PathFile, rows: list[tuple[int, list[str]]]) -> list[str]:
    first, last = ([cells[k] if len(cells) == 3 else "" for _, cells in rows] for k in (0, 2))
    counted = any(first == [str(k) for k in range(start, start + len(rows))] for start in (0, 1))
    if not counted or set(last) <= {"0", "1"}:
        place, cells = rows[0]
        fail(
            source.path,
            "a line must hold two numbers",
            ",".join(cells),
            f'"x,y", or a header: {_ALLOWED}',
            line=place,
        )
    return ["frame", "x", "y"]


def _frame(source: PathFile, place: int, cell: str) -> int:
    value = number(source, place, cell)
    if value < 0 or value != int(value):
        fail(source.path, "wrong frame", cell, "whole numbers from 0", line=place)
    return int(value)


def _flag(source: PathFile, place: int, cell: str) -> bool:
    if cell.lower() not in (*_TRUE, *_FALSE):
        fail(source.path, "wrong visibility", cell or "nothing", ", ".join((*_TRUE, *_FALSE)), line=place)
    return cell.lower() in _TRUE


FORMATS = (Format("csv", ("text",), fits, read, "table with the columns x,y[,frame][,object][,visible]"),)
