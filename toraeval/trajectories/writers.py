"""The writer of each file format of published tools.

Shape legend: N objects, T moments. The layouts are those that `toraeval.trajectories.formats` reads; sources are there.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import geometry
from toraeval.store.sealed import atomic
from toraeval.trajectories.colour_maps import write_colour_maps
from toraeval.trajectories.formats import ati, mc_bench, sgi2v, text, wan_move
from toraeval.trajectories.native import NativeCase
from toraeval.trajectories.native_writing import dump_native
from toraeval.trajectories.reading import Canvas
from toraeval.types import Trajectories, UserError


@dataclass(frozen=True)
class Target:
    """What is asked of the written file.

    Attributes:
        format: a name of `WRITERS`.
        canvas: `(width, height)` of its coordinates; None is the format's own, or that of the paths.
        frames: number of moments, None for as many as there are (or the format's fixed number).
        box: `(width, height)` of the object in pixels of that canvas, for formats with boxes.
        prompt: caption, for formats that hold one.
    """

    format: str
    canvas: Canvas | None = None
    frames: int | None = None
    box: Canvas | None = None
    prompt: str = ""


@dataclass(frozen=True)
class Writer:
    """How one format is written.

    Attributes:
        suffix: of the file, or the ending that replaces it.
        write: writes paths, already on their canvas and moments, to a file and returns the files.
        holds: which of `visible`, `fps`, `names`, `canvas`, `prompt` the format holds.
        canvas, frames: fixed by the format's project, or None.
        box: whether the object's size is needed.
        whole: whether coordinates become whole pixels.
    """

    suffix: str
    write: Callable[[Path, Trajectories, Target], list[Path]]
    holds: frozenset[str] = frozenset()
    canvas: Canvas | None = None
    frames: int | None = None
    box: bool = False
    whole: bool = False


def _number(value: float) -> float | int:
    """Return a coordinate as JSON and text should show it: whole numbers without a fraction."""
    return int(value) if value == int(value) else float(value)


def _lists(paths: Trajectories) -> list[list[list[float | int]]]:
    return [[[_number(x), _number(y)] for x, y in track] for track in paths.tracks_NT2.tolist()]


def _bytes(path: Path, data: bytes) -> list[Path]:
    atomic(path, lambda temporary: temporary.write_bytes(data))
    return [path]


def _json(path: Path, value: Any) -> list[Path]:
    return _bytes(path, (json.dumps(value) + "\n").encode())


def _native(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    case = NativeCase(path.stem, paths, target.prompt)
    return _bytes(path, dump_native([case], path.parent).encode())


def _text(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    """One object a file: several become NAME.obj1.txt, NAME.obj2.txt, ..., as suite=folder reads them."""
    files = []
    for index, track in enumerate(_lists(paths), start=1):
        place = path if paths.num_objects == 1 else path.with_name(f"{path.stem}.obj{index}{path.suffix}")
        files += _bytes(place, "".join(f"{x},{y}\n" for x, y in track).encode())
    return files


def _csv(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    names = [name or str(index) for index, name in enumerate(paths.names or ("",) * paths.num_objects)]
    if len(set(names)) < len(names):
        names = [str(index) for index in range(len(names))]
    broken = [name for name in names if len(name.splitlines()) > 1 or name != name.strip()]
    if broken:
        raise UserError(f"{path}: the name {broken[0]!r}; allowed: names without line ends and outer spaces")
    quoted = [
        f'"{name}"' if set(name) & set(',"\n') else name for name in (n.replace('"', '""') for n in names)
    ]
    rows = ["frame,object,x,y,visible"]
    for frame in range(paths.num_frames):
        for name, track, seen in zip(quoted, paths.tracks_NT2, paths.visible_NT, strict=True):
            x, y = (_number(float(value)) for value in track[frame])
            rows.append(f"{frame},{name},{x},{y},{int(seen[frame])}")
    return _bytes(path, ("\n".join(rows) + "\n").encode())


def _comfyui(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    return _json(path, [[{"x": x, "y": y} for x, y in track] for track in _lists(paths)])


def _mc_bench(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    return _json(path, {mc_bench.KEY: np.rint(paths.tracks_NT2).astype(int).tolist()})


def _npz(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    facts: dict[str, Any] = {"canvas": np.array(paths.canvas), "layout": np.array("nt")}
    facts |= {"fps": np.array(paths.fps)} if paths.fps else {}
    facts |= {"names": np.array(paths.names)} if any(paths.names) else {}
    memory = io.BytesIO()
    np.savez_compressed(memory, tracks=paths.tracks_NT2, visible=paths.visible_NT, **facts)
    return _bytes(path, memory.getvalue())


def _npy(array: Any, pickled: bool = False) -> bytes:
    memory = io.BytesIO()
    np.save(memory, array, allow_pickle=pickled)
    return memory.getvalue()


def _wan_move(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    stem = path.name.removesuffix(wan_move.TRACKS).removesuffix(path.suffix)
    tracks = paths.tracks_NT2.transpose(1, 0, 2)[None].astype(np.float32)
    visible = np.ascontiguousarray(paths.visible_NT.T[None])
    files = _bytes(path.with_name(stem + wan_move.TRACKS), _npy(tracks))
    return files + _bytes(path.with_name(stem + wan_move.VISIBILITY), _npy(visible))


def _ati(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    import torch

    inner, outer = io.BytesIO(), io.BytesIO()
    np.savez_compressed(inner, array=ati.triples(paths))
    torch.save(inner.getvalue(), outer)
    return _bytes(path, outer.getvalue())


def _sgi2v(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    assert target.box is not None
    half = np.array(target.box) / 2
    start = paths.tracks_NT2[:, :1]
    return _bytes(path, _npy(np.concatenate([start - half, start + half, paths.tracks_NT2], axis=1)))


def _tapvid(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    width, height = paths.canvas
    points = ((paths.tracks_NT2 + 0.5) / (width, height)).astype(np.float32)
    item: dict[str, Any] = {"points": points, "occluded": ~paths.visible_NT}
    if path.suffix.lower() != ".npz":
        return _bytes(path, pickle.dumps({path.stem: item}, protocol=4))
    memory = io.BytesIO()
    np.savez_compressed(memory, **item)
    return _bytes(path, memory.getvalue())


def _kubric(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    item = {"coords": paths.tracks_NT2.astype(np.float32), "visibility": ~paths.visible_NT}
    return _bytes(path, _npy(np.array(item, dtype=object), pickled=True))


def _dragnuwa(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    return _json(path, _lists(paths))


def _draganything(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    return _json(path, {str(index): track for index, track in enumerate(_lists(paths))})


def _magicmotion(path: Path, paths: Trajectories, target: Target) -> list[Path]:
    assert target.box is not None
    return write_colour_maps(path, paths, target.box)


_VISIBLE = frozenset({"visible"})
WRITERS: dict[str, Writer] = {
    "native": Writer(".json", _native, frozenset({"visible", "fps", "names", "canvas", "prompt"})),
    "tora": Writer(".txt", _text, canvas=text.CANVAS),
    "motionctrl": Writer(".txt", _text, canvas=text.CANVAS),
    "csv": Writer(".csv", _csv, frozenset({"visible", "names"})),
    "dragnuwa": Writer(".json", _dragnuwa, canvas=geometry.DRAGNUWA_CANVAS),
    "draganything": Writer(".json", _draganything),
    "comfyui": Writer(".json", _comfyui),
    "mc_bench": Writer(".json", _mc_bench, whole=True),
    "numpy": Writer(".npz", _npz, frozenset({"visible", "fps", "names", "canvas"})),
    "wan_move": Writer(wan_move.TRACKS, _wan_move, _VISIBLE),
    "ati": Writer(".pth", _ati, _VISIBLE, frames=ati.SAMPLES),
    "sgi2v": Writer(".npy", _sgi2v, box=True),
    "tapvid": Writer(".pkl", _tapvid, _VISIBLE),
    "kubric": Writer(".npy", _kubric, _VISIBLE),
    "magicmotion": Writer("", _magicmotion, frozenset({"visible", "canvas"}), box=True, whole=True),
}
"""Formats that can be written, by the name under which they are read."""

assert sgi2v.CORNERS == 2  # what `_sgi2v` puts in front of every path
