"""Kubric tracks as CoTracker exports them: a `.npy` with a pickled dict of `coords` (N,T,2) and `visibility` (N,T).

Its `visibility` is True where a point is hidden: the loader inverts it (facebookresearch/co-tracker@82e02e8,
`cotracker/datasets/kubric_movif_dataset.py`).
"""

from __future__ import annotations

from typing import Any

from toraeval.trajectories.checks import fail
from toraeval.trajectories.formats.arrays import hidden_flags, objects_first
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw


def fits(source: PathFile) -> bool:
    """Tell whether a `.npy` holds Python objects."""
    return source.objects is not None


def read(source: PathFile) -> Raw:
    """Read coordinates in pixels.

    Raises:
        UserError: anything but the exported dict.
    """
    path, data = source.path, source.objects
    while isinstance(data, list) and len(data) == 1:  # an array of one object
        data = data[0]
    item: Any = data if isinstance(data, dict) else {}
    if not {"coords", "visibility"} <= set(item):
        got = f"a dict with {', '.join(map(str, item))}" if item else type(data).__name__
        allowed = (
            "a plain array, or CoTracker's Kubric export {coords, visibility}, without other Python objects"
        )
        fail(path, "an array of Python objects", got, allowed)
    tracks = objects_first(path, item["coords"])
    hidden = hidden_flags(path, "visibility", item["visibility"], tracks)
    notes = ("visibility is True where a point is hidden, as in CoTracker's Kubric export",)
    return Raw(tracks, visible=~hidden, notes=notes)


FORMATS = (Format("kubric", ("npy",), fits, read, ".npy with coords and visibility (Kubric, CoTracker)"),)
