"""Text files of Tora and MotionCtrl: one `x,y` a line, one object."""

from __future__ import annotations

import re

import numpy as np

from toraeval import geometry
from toraeval.inputs.text_files import split_lines
from toraeval.trajectories.checks import MIN_POINTS, check_count, fail
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
CANVAS = (geometry.TORA_CANVAS, geometry.TORA_CANVAS)


def read(source: PathFile) -> Raw:
    """Read one `x,y` or `x, y` a line; empty lines are skipped and the final newline is optional.

    Raises:
        UserError: a line is not a pair of finite numbers, or there are fewer than 2.
    """
    rows: list[tuple[float, float]] = []
    places: list[int] = []
    lines = split_lines(source.text)
    check_count(source.path, 1, len(lines))
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 2:
            allowed = '"x,y", or columns under a header such as "frame,x,y"'
            fail(source.path, "a line must hold two numbers", line.strip(), allowed, line=place)
        x, y = (number(source, place, cell) for cell in cells)
        rows.append((x, y))
        places.append(place)
    if len(rows) < MIN_POINTS:
        allowed = "2 or more; give the point twice to stand still"
        fail(source.path, "too few points", len(rows), allowed, line=places[0])
    return Raw(
        np.array([rows]), default_canvas=CANVAS, line=lambda index, moment: places[moment], certain=True
    )


def number(source: PathFile, line: int, cell: str) -> float:
    """Return a finite number of a text file.

    Raises:
        UserError: it is not one.
    """
    if not NUMBER.fullmatch(cell) or not np.isfinite(float(cell)):
        fail(source.path, "not a finite number", cell or "nothing", 'numbers, as in "120,194"', line=line)
    return float(cell)


FORMATS = (
    Format("tora", ("text",), lambda source: True, read, "text, one x,y a line (Tora)", CANVAS),
    Format("motionctrl", ("text",), lambda source: False, read, "text, one x,y a line (MotionCtrl)", CANVAS),
)
