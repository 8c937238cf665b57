"""The path-file formats and the table by which a file's format is recognised."""

from __future__ import annotations

from toraeval.inputs.text_files import shown
from toraeval.trajectories.checks import fail, outline
from toraeval.trajectories.formats import (
    arrays,
    ati,
    comfyui,
    csv_table,
    json_tracks,
    kubric,
    mc_bench,
    native_json,
    sgi2v,
    tapvid,
    text,
    wan_move,
)
from toraeval.trajectories.formats.source import PATH_SUFFIXES, Format, PathFile

TABLE: tuple[Format, ...] = (
    *native_json.FORMATS,
    *csv_table.FORMATS,
    *text.FORMATS,
    *comfyui.FORMATS,
    *mc_bench.FORMATS,
    *json_tracks.FORMATS,
    *kubric.FORMATS,
    *wan_move.FORMATS,
    *sgi2v.FORMATS,
    *tapvid.FORMATS,
    *arrays.FORMATS,
    *ati.FORMATS,
)
"""Every format; of those with the right kind the first that fits a file is its format."""
NAMES = ("auto", *(format.name for format in TABLE))

__all__ = ["NAMES", "PATH_SUFFIXES", "TABLE", "Format", "PathFile", "choose", "named"]


def named(name: str) -> Format:
    """Return a format by its name."""
    return next(format for format in TABLE if format.name == name)


def choose(source: PathFile) -> Format:
    """Recognise a file's format by its suffix and content.

    Raises:
        UserError: no format fits; the message says what was found and what can be read.
    """
    source.check_suffix()
    fitting = [format for format in TABLE if source.kind in format.kinds]
    for format in fitting:
        if format.fits(source):
            return format
    allowed = "; ".join(f"{format.name}: {format.about}" for format in fitting)
    fail(source.path, "no known path format", _found(source), allowed)


def _found(source: PathFile) -> str:
    if source.kind == "json":
        return outline(source.json.data)
    return f"arrays {shown(', '.join(source.names))}" if source.kind == "npz" else source.kind
