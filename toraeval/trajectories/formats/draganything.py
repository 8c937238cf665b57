"""DragAnything's JSON: an object that maps ids to lists of points."""

from __future__ import annotations

from toraeval.trajectories.formats.source import Format, Source
from toraeval.trajectories.formats.tracks import joined, pairs
from toraeval.trajectories.reading import Raw


def fits(source: Source) -> bool:
    """Tell whether the file is a JSON object whose every value is a list and whose keys are numbers."""
    data = source.json.data
    return isinstance(data, dict) and bool(data) and all(key.strip().isdigit() for key in data)


def read(source: Source) -> Raw:
    """Read `{"0": [[x, y], ...], ...}`; the ids become the objects' names.

    Raises:
        UserError: wrong JSON types, or a track with fewer than 2 points.
    """
    file = source.json
    if not isinstance(file.data, dict) or not file.data:
        file.fail([], "no tracks", file.data, '{"0": [[x, y], ...], ...}')
    ids = list(file.data)
    tracks = [pairs(file, [name], file.data[name]) for name in ids]
    return joined(file, tracks, lambda index, point: [ids[index], point], names=tuple(ids))


FORMATS = (Format("draganything", ("json",), fits, read, 'JSON {"id": [[x,y],...], ...} (DragAnything)'),)
