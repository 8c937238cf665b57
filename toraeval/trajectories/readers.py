"""Readers of the published trajectory formats: Tora and MotionCtrl text, DragNUWA JSON, NumPy, native JSON.

Text and DragNUWA files state no canvas; theirs is the one that the project uses (256 x 256 and 576 x 320).
Coordinates are kept as they stand: rescaling and resampling are `toraeval.geometry`'s.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import geometry
from toraeval.trajectories.checks import (
    MIN_POINTS,
    JsonFile,
    canvas_rule,
    check_canvas,
    fail,
    fill_hidden,
    json_point,
    outside_point,
    read_text,
)
from toraeval.trajectories.native import parse_native
from toraeval.types import BoolArray, FloatArray, Trajectories, UserError

Canvas = tuple[int, int]
TEXT_CANVAS: Canvas = (geometry.TORA_CANVAS, geometry.TORA_CANVAS)
FORMATS = ("auto", "native", "tora", "motionctrl", "dragnuwa", "numpy")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NPZ_KEYS = ("tracks", "visible", "canvas", "fps", "names")


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    canvas: Canvas | None = None,
    format: str = "auto",
) -> Trajectories:
    """Load one trajectory file, or several as several objects of one case.

    Args:
        paths: file or files; objects keep their order.
        canvas: `(width, height)` of the coordinates. Needed for `.npy`; replaces the default of text
            (256, 256) and DragNUWA (576, 320); a file that states its own must agree.
        format: one of `FORMATS`; `auto` goes by the suffix, and for JSON by the content.

    Returns:
        Trajectories on the canvas of the first file. Objects with fewer points are resampled to the longest,
        uniformly over the point index. `fps` is what all files that state one agree on, else None.

    Raises:
        UserError: one line `file:line: rule; got ...; allowed ...`.
    """
    if format not in FORMATS:
        raise UserError(f"trajectory format={format!r}: allowed are {', '.join(FORMATS)}")
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise UserError("trajectories: no file given; allowed: at least one")
    if canvas is not None:
        canvas = check_canvas("canvas", canvas)
    return combine([_load_one(Path(path), canvas, format) for path in given])


def combine(parts: Sequence[Trajectories]) -> Trajectories:
    """Join the objects of several trajectories on the first one's canvas and the longest one's moments."""
    if len(parts) == 1:
        return parts[0]
    frames = max(part.num_frames for part in parts)
    same = [part.to_canvas(*parts[0].canvas).to_frames(frames) for part in parts]
    rates = {part.fps for part in parts if part.fps is not None}
    return Trajectories(
        tracks_NT2=np.concatenate([part.tracks_NT2 for part in same]),
        visible_NT=np.concatenate([part.visible_NT for part in same]),
        canvas=parts[0].canvas,
        fps=rates.pop() if len(rates) == 1 else None,
        source=" + ".join(part.source for part in parts),
        names=tuple(name for part in parts for name in (part.names or ("",) * part.num_objects)),
    )


def read_text_path(path: str | os.PathLike[str], canvas: Canvas | None = None) -> Trajectories:
    """Read a Tora or MotionCtrl text file: one `x,y` or `x, y` a line, one object.

    Empty lines are skipped and the final newline is optional. Default canvas: 256 x 256.

    Raises:
        UserError: a line is no pair of finite numbers, a point is off the canvas, or there are fewer than 2.
    """
    path, canvas = Path(path), canvas or TEXT_CANVAS
    rows: list[tuple[float, float]] = []
    lines: list[int] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 2:
            fail(path, number, "a line must hold two numbers", line.strip(), '"x,y"')
        for cell in cells:
            if not _NUMBER.fullmatch(cell) or not np.isfinite(float(cell)):
                fail(path, number, "not a finite number", cell or "nothing", 'numbers, as in "120,194"')
        rows.append((float(cells[0]), float(cells[1])))
        lines.append(number)
    if len(rows) < MIN_POINTS:
        fail(path, lines[0], "too few points", len(rows), "2 or more; give the point twice to stand still")
    points = np.array(rows)
    bad = outside_point(points, np.ones(len(points), dtype=bool), canvas)
    if bad is not None:
        shown = f"{points[bad, 0]:g},{points[bad, 1]:g}"
        fail(path, lines[bad], "the point lies outside the canvas", shown, canvas_rule(canvas))
    return _visible_everywhere(points[None], canvas, path)


def _parse_dragnuwa(file: JsonFile, canvas: Canvas | None) -> Trajectories:
    """Read DragNUWA's JSON, a list of tracks `[[[x, y], ...], ...]`; default canvas 576 x 320.

    Tracks with fewer points are resampled to the longest, uniformly over the point index.

    Raises:
        UserError: wrong JSON types, a track with fewer than 2 points, or a point off the canvas.
    """
    canvas = canvas or geometry.DRAGNUWA_CANVAS
    if not isinstance(file.data, list) or not file.data:
        file.fail([], "no tracks", file.data, "a list of tracks [[[x, y], ...], ...]")
    tracks: list[Trajectories] = []
    for index, track in enumerate(file.data):
        if not isinstance(track, list):
            file.fail([index], "a track must be a list of points", track, "[[x, y], ...]")
        if len(track) < MIN_POINTS and not any(isinstance(value, int | float) for value in track):
            file.fail([index], "too few points", len(track), "2 or more; give the point twice to stand still")
        points = np.array([json_point(file, [index, i], point) for i, point in enumerate(track)])
        bad = outside_point(points, np.ones(len(points), dtype=bool), canvas)
        if bad is not None:
            file.fail([index, bad], "the point lies outside the canvas", track[bad], canvas_rule(canvas))
        tracks.append(_visible_everywhere(points[None], canvas, file.path))
    return replace(combine(tracks), source=str(file.path))


def read_numpy(path: str | os.PathLike[str], canvas: Canvas | None = None) -> Trajectories:
    """Read a `.npy` array or a `.npz` with keys `tracks`, and optionally `visible`, `canvas`, `fps`, `names`.

    `tracks` is (N, T, 2) or (T, 2), any real dtype; `visible` is bool (N, T) or (T,); `canvas` is
    (width, height). An `.npz` with a single unnamed array (`arr_0`) is read as `tracks`. Coordinates that are
    NaN are allowed only where `visible` is False. Pickled objects are refused.

    Raises:
        UserError: the canvas is not known, or shape, dtype, values or keys are wrong.
    """
    path = Path(path)
    arrays = _numpy_arrays(path)
    if "canvas" in arrays:
        stated = check_canvas(f"{path}[canvas]", arrays["canvas"].tolist())
        canvas = _agreed(path, stated, canvas)
    if canvas is None:
        fail(
            path,
            None,
            "the canvas is not known",
            "none",
            "canvas=(width, height), or a canvas key in the .npz",
        )
    tracks, visible = _numpy_tracks(path, arrays)
    for index in range(len(tracks)):
        bad = outside_point(tracks[index], visible[index], canvas)
        if bad is not None:
            shown = f"{tracks[index, bad].tolist()} at [{index}, {bad}]"
            fail(path, None, "the point lies outside the canvas", shown, canvas_rule(canvas))
    fps = float(arrays["fps"]) if "fps" in arrays and arrays["fps"].size == 1 else None
    names = tuple(str(name) for name in np.atleast_1d(arrays["names"])) if "names" in arrays else ()
    if names and len(names) != len(tracks):
        fail(path, None, "one name per object", f"{len(names)} names", f"{len(tracks)} names")
    return Trajectories(tracks, visible, canvas, fps, str(path), names or ("",) * len(tracks))


def _numpy_arrays(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such trajectory file")
    allowed = f".npy, or .npz with {', '.join(_NPZ_KEYS)}, without pickled objects"
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"tracks": loaded}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        fail(path, None, "not a readable NumPy file", str(error).splitlines()[0], allowed)
    if list(arrays) == ["arr_0"]:
        arrays = {"tracks": arrays["arr_0"]}
    if "tracks" not in arrays or set(arrays) - set(_NPZ_KEYS):
        fail(path, None, "wrong keys", sorted(arrays), allowed)
    return arrays


def _numpy_tracks(path: Path, arrays: dict[str, Any]) -> tuple[FloatArray, BoolArray]:
    raw = arrays["tracks"]
    if raw.dtype.kind not in "iuf":
        fail(path, None, "wrong dtype", str(raw.dtype), "integers or real numbers")
    tracks = np.asarray(raw[None] if raw.ndim == 2 else raw, dtype=np.float64)
    if tracks.ndim != 3 or tracks.shape[2] != 2 or tracks.shape[0] < 1 or tracks.shape[1] < MIN_POINTS:
        fail(path, None, "wrong shape", str(raw.shape), "(N, T, 2) or (T, 2) with T >= 2")
    visible = np.ones(tracks.shape[:2], dtype=bool)
    if "visible" in arrays:
        flags = arrays["visible"]
        visible = flags[None] if flags.ndim == 1 else flags
        if flags.dtype != bool or visible.shape != tracks.shape[:2]:
            fail(path, None, "wrong visibility", f"{flags.dtype} {flags.shape}", f"bool {tracks.shape[:2]}")
    known = np.asarray(np.isfinite(tracks).all(axis=-1), dtype=np.bool_)
    if (visible & ~known).any() or not known.any(axis=1).all():
        index, moment = (int(i) for i in np.argwhere(~known)[0])
        shown = f"{tracks[index, moment].tolist()} at [{index}, {moment}]"
        fail(path, None, "not a finite number", shown, "finite numbers, or NaN where visible is False")
    return np.stack([fill_hidden(*pair) for pair in zip(tracks, known, strict=True)]), visible


def read_prompts(path: str | os.PathLike[str]) -> list[tuple[str, str | None]]:
    """Read a prompt list, one prompt a line, in Tora's `prompt@@image` form where it names a first frame.

    Returns:
        `(prompt, image name or None)` per line that is not empty.

    Raises:
        UserError: a line has no prompt, or more than one `@@`.
    """
    path = Path(path)
    prompts: list[tuple[str, str | None]] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split("@@")]
        if len(parts) > 2 or not all(parts):
            fail(path, number, "a line must hold a prompt", line.strip(), '"prompt" or "prompt@@image.png"')
        prompts.append((parts[0], parts[1] if len(parts) == 2 else None))
    return prompts


def _load_one(path: Path, canvas: Canvas | None, format: str) -> Trajectories:
    if format == "auto":
        format = _guess(path)
    if format in ("json", "native", "dragnuwa"):
        file = JsonFile(path)
        if format == "dragnuwa" or (format == "json" and isinstance(file.data, list)):
            return _parse_dragnuwa(file, canvas)
        cases = parse_native(file)
        if len(cases) > 1:
            names = ", ".join(case.id for case in cases[:4])
            fail(
                path,
                None,
                "one case is needed here",
                f"{len(cases)} cases ({names})",
                "suite=folder for many",
            )
        _agreed(path, cases[0].trajectories.canvas, canvas)
        return cases[0].trajectories
    readers: dict[str, Callable[[Path, Canvas | None], Trajectories]] = {
        "tora": read_text_path,
        "motionctrl": read_text_path,
        "numpy": read_numpy,
    }
    return readers[format](path, canvas)


def _guess(path: Path) -> str:
    suffixes = {".txt": "tora", ".csv": "tora", ".json": "json", ".npy": "numpy", ".npz": "numpy"}
    if path.suffix.lower() not in suffixes:
        fail(path, None, "unknown suffix", path.suffix or "none", f"{', '.join(suffixes)}, or format=...")
    return suffixes[path.suffix.lower()]


def _agreed(path: Path, stated: Canvas, given: Canvas | None) -> Canvas:
    if given is not None and tuple(given) != tuple(stated):
        fail(
            path,
            None,
            "the file states its own canvas",
            f"canvas={given}",
            f"{stated}, or no canvas argument",
        )
    return stated


def _visible_everywhere(tracks_NT2: FloatArray, canvas: Canvas, path: Path) -> Trajectories:
    count = len(tracks_NT2)
    visible = np.ones(tracks_NT2.shape[:2], dtype=bool)
    return Trajectories(tracks_NT2, visible, canvas, source=str(path), names=("",) * count)
