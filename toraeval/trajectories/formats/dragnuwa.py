"""DragNUWA's JSON: a list of tracks of points."""

from __future__ import annotations

from toraeval import geometry
from toraeval.trajectories.formats.source import Format, Source
from toraeval.trajectories.formats.tracks import joined, pairs
from toraeval.trajectories.reading import Raw


def fits(source: Source) -> bool:
    """Tell whether the file is a list that holds no ComfyUI points."""
    return isinstance(source.json.data, list)


def read(source: Source) -> Raw:
    """Read a list of tracks `[[[x, y], ...], ...]`.

    Raises:
        UserError: wrong JSON types, or a track with fewer than 2 points.
    """
    file = source.json
    if not isinstance(file.data, list) or not file.data:
        file.fail([], "no tracks", file.data, "a list of tracks [[[x, y], ...], ...]")
    tracks = [pairs(file, [index], track) for index, track in enumerate(file.data)]
    return joined(file, tracks, lambda index, point: [index, point], default_canvas=geometry.DRAGNUWA_CANVAS)


FORMATS = (
    Format("dragnuwa", ("json",), fits, read, "JSON [[[x,y],...],...] (DragNUWA)", geometry.DRAGNUWA_CANVAS),
)
