"""TAP-Vid items (DAVIS, RGB-Stacking, RoboTAP, Kinetics) as `.pkl` or `.npz`: `points` in 0..1 and `occluded`.

Source: google-deepmind/tapnet@c2cbab8, `tapnet/tapvid/evaluation_datasets.py`. Its raster has pixel centres at 0.5, so
a fraction u is the pixel u * width - 0.5 here (`units=tapnet`); `units=cotracker` is that project's u * (width - 1).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from toraeval.inputs.text_files import shown
from toraeval.trajectories.checks import fail
from toraeval.trajectories.formats.arrays import hidden_flags, objects_first
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Canvas, Raw
from toraeval.types import be, counted

KEYS = ("points", "occluded")
_ITEM = "an item {video, points, occluded}, or a list or dict of such items"


def fits(source: PathFile) -> bool:
    """Tell whether a file is a pickle, or a NumPy archive with TAP-Vid's keys."""
    return source.kind == "pickle" or set(KEYS) <= set(source.names)


def read(source: PathFile) -> Raw:
    """Read one item; of several, the one that is named like the clip.

    Raises:
        UserError: no such item, or shapes, dtypes or values are wrong.
    """
    path = source.path
    if source.kind == "npz":
        item: Mapping[str, Any] = {key: source.array(key) for key in KEYS}
        shape = source.shape("video") if "video" in source.names else ()
        size: Canvas | None = (shape[2], shape[1]) if len(shape) == 4 else None
    else:
        item = _item(source)
        size = _size(source, item.get("video"))
    points = objects_first(path, item["points"])
    hidden = hidden_flags(path, "occluded", item["occluded"], points)
    ever = np.asarray(~hidden.all(axis=1))
    if not ever.any():
        fail(path, "no point is ever visible", counted(len(ever), "point"), "at least one visible point")
    never = int((~ever).sum())
    # Where a point is hidden its place is not defined.
    return Raw(
        np.where(hidden[..., None], np.nan, points)[ever],
        visible=~hidden[ever],
        canvas=size,
        units="tapnet",
        notes=(f"{counted(never, 'point')} that {be(never)} never visible {be(never)} left out",)
        if never
        else (),
    )


def items(source: PathFile) -> dict[str, Mapping[str, Any]]:
    """Return the items of a pickle by name; those of a list are named `0`, `1`, ..."""
    data = source.objects
    if isinstance(data, dict) and set(KEYS) <= set(data):
        return {"": data}
    named = dict(enumerate(data)) if isinstance(data, list) else data
    good = isinstance(named, dict) and all(
        isinstance(item, dict) and set(KEYS) <= set(item) for item in named.values()
    )
    if not good or not named:
        fail(source.path, "not TAP-Vid data", _found(data), _ITEM)
    texts = {str(name): item for name, item in named.items()}
    if len(texts) < len(named):
        got = shown(", ".join(map(repr, list(named)[:6])))
        fail(source.path, "two items have one name", got, "names that differ as text")
    return texts


def _item(source: PathFile) -> Mapping[str, Any]:
    found = items(source)
    if len(found) == 1:
        return next(iter(found.values()))
    if source.item not in found:
        few = ", ".join(list(found)[:6]) + (", ..." if len(found) > 6 else "")
        got = f"{counted(len(found), 'item')} ({shown(few)})"
        fail(source.path, "one item is needed here", got, "clips or cases named like the items")
    return found[source.item]


def _size(source: PathFile, video: Any) -> Canvas | None:
    if isinstance(video, np.ndarray) and video.ndim == 4:
        return int(video.shape[2]), int(video.shape[1])
    if isinstance(video, list) and video and isinstance(video[0], bytes):
        try:
            with Image.open(io.BytesIO(video[0])) as picture:
                return picture.size
        except Exception:  # Pillow raises many kinds, with addresses of this memory in their text
            fail(source.path, "the first frame is not readable", f"{len(video[0])} bytes", "JPEG pictures")
    return None


def _found(data: Any) -> str:
    if isinstance(data, dict):
        return f"a dict with {shown(', '.join(map(str, list(data)[:6])))}"
    return f"a {type(data).__name__}"


_ABOUT = ".pkl or .npz with points and occluded (TAP-Vid)"
FORMATS = (Format("tapvid", ("npz", "pickle"), fits, read, _ABOUT, units="fractions"),)
