"""Arrays of tracks: `.npy`, and `.npz` as toraeval, CoTracker, TAPIR and their relatives write it.

Shape legend: N objects, T moments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toraeval.trajectories.array_files import as_array, flags, number
from toraeval.trajectories.checks import check_canvas, check_count, fail
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import LAYOUTS, Order, Raw
from toraeval.types import BoolArray, FloatArray

TRACKS = ("tracks", "pred_tracks", "trajectories", "arr_0")
VISIBLE = ("visible", "visibles", "visibility", "pred_visibility", "pred_visibles")
OWN = ("canvas", "fps", "names", "layout")


def fits(source: PathFile) -> bool:
    """Tell whether a NumPy file holds an array of tracks under a known name."""
    if source.kind == "npy":
        return True
    return any(name in source.names for name in TRACKS) or source.names in ([], ["points"])


def read(source: PathFile) -> Raw:
    """Read `(N,T,2)`, `(T,N,2)` or `(T,2)`, with or without a batch axis of length 1 in front.

    Raises:
        UserError: shape, dtype, values or names are wrong.
    """
    path, names = source.path, source.names
    key = next((name for name in TRACKS if name in names), "" if source.kind == "npy" else None)
    if key is None:
        allowed = f"one of {', '.join(TRACKS)}, and optionally {', '.join((*VISIBLE[:1], *OWN))}"
        fail(path, "wrong keys", names or "an empty archive", allowed)
    shape, kept = source.shape(key), [key]
    tracks = without_batch(path, source.array(key), 4)
    order: Order = "either"
    if tracks.ndim == 2:
        tracks, order = tracks[None], "nt"
    elif key == "pred_tracks":  # CoTracker's own word for (T,N,2)
        order = "tn"
    visible = None
    hint = next((name for name in VISIBLE if name in names), None)
    if hint is not None:
        kept.append(hint)
        seen = np.asarray(source.array(hint))
        seen = seen[..., 0] if seen.ndim == len(shape) and seen.shape[-1] == 1 else seen
        seen = without_batch(path, seen, 3) if len(shape) == 4 else seen
        seen = seen[None] if seen.ndim == 1 else seen
        visible = flags(path, "visibility", seen, tracks.shape[:2])
    own = {name: source.array(name, most=1 << 20) for name in OWN if name in names}
    if "layout" in own:
        order = _stated_order(path, own["layout"])
    spare = [name for name in names if name not in (*kept, *own) and name]
    return Raw(
        tracks,
        order=order,
        visible=visible,
        canvas=check_canvas(f"{path}[canvas]", own["canvas"].tolist()) if "canvas" in own else None,
        fps=number(path, "fps", own["fps"]) if "fps" in own else None,
        names=_labels(path, own["names"]) if "names" in own else (),
        notes=(f"arrays left out: {', '.join(spare[:5])}",) if spare else (),
        certain="layout" in own,
    )


def without_batch(path: Path, raw: Any, full: int) -> FloatArray:
    """Return real numbers as float64 (flags as they are) without a leading axis of length 1.

    Raises:
        UserError: another dtype, several batches, or another number of axes.
    """
    array = as_array(path, "tracks" if full == 4 else "visibility", raw)
    if array.dtype.kind not in ("iuf" if full == 4 else "biuf"):
        fail(path, "wrong dtype", str(array.dtype), "integers or real numbers")
    if array.ndim == full and array.shape[0] != 1:
        fail(path, "several batches", str(array.shape), "a leading axis of length 1, or none")
    array = array[0] if array.ndim == full else array
    if full == 4:
        if array.ndim not in (2, 3) or array.shape[-1] != 2 or min(array.shape) < 1:
            shapes = "(N,T,2), (T,N,2) or (T,2) with T >= 2"
            fail(path, "wrong shape", str(array.shape), shapes)
        check_count(path, 1 if array.ndim == 2 else min(array.shape[:2]), max(array.shape[:2]))
        with np.errstate(all="ignore"):  # NaN and infinity are refused later, with their place
            return array.astype(np.float64)
    return array


def objects_first(path: Path, raw: Any) -> FloatArray:
    """Return tracks as float64 (N, T, 2), where a single one may lack its axis."""
    tracks = without_batch(path, raw, 4)
    return tracks[None] if tracks.ndim == 2 else tracks


def hidden_flags(path: Path, name: str, raw: Any, tracks_NT2: FloatArray) -> BoolArray:
    """Return bool (N, T) of hidden points; that of a single track may lack its axis."""
    return flags(path, name, np.atleast_2d(as_array(path, name, raw)), tracks_NT2.shape[:2])


def _stated_order(path: Path, layout: np.ndarray) -> Order:
    word = str(layout.item()) if layout.size == 1 else str(layout)
    if word not in LAYOUTS[1:]:
        fail(path, "wrong layout", word, ", ".join(LAYOUTS[1:]))
    return "nt" if word == "nt" else "tn"


def _labels(path: Path, names: np.ndarray) -> tuple[str, ...]:
    if names.dtype.kind != "U" or names.ndim > 1:
        fail(path, "wrong names", f"{names.dtype} {names.shape}", "an array of text, one label per object")
    return tuple(str(name) for name in np.atleast_1d(names))


FORMATS = (
    Format(
        "numpy",
        ("npy", "npz"),
        fits,
        read,
        f".npy, or .npz with {', '.join(TRACKS[:2])} (NumPy, CoTracker, TAPIR)",
        layout="either",
    ),
)
