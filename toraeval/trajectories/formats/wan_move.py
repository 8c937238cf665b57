"""Wan-Move and MoveBench: `<id>_tracks.npy` (1,T,N,2) beside `<id>_visibility.npy` (1,T,N).

Source: ali-vilab/Wan-Move@27409be, `wan/modules/trajectory.py`.
"""

from __future__ import annotations

from pathlib import Path

from toraeval.inputs.text_files import exists
from toraeval.trajectories.array_files import ArrayFile, flags
from toraeval.trajectories.checks import fail
from toraeval.trajectories.formats.arrays import without_batch
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw

TRACKS, VISIBILITY = "_tracks.npy", "_visibility.npy"


def fits(source: PathFile) -> bool:
    """Tell whether the file is named as Wan-Move does and has its visibility beside it, or its four axes."""
    if not source.path.name.lower().endswith(TRACKS):
        return False
    return exists(partner(source.path)) or len(source.shape()) == 4


def partner(tracks: Path) -> Path:
    """Return the visibility file that belongs to a tracks file."""
    return tracks.with_name(tracks.name[: -len(TRACKS)] + VISIBILITY)


def case_name(path: Path) -> str:
    """Return the case that a path file is named for: its stem, without `_tracks` where visibility lies beside it."""
    if path.name.lower().endswith(TRACKS) and exists(partner(path)):
        return path.name[: -len(TRACKS)]
    return path.stem


def is_companion(path: Path) -> bool:
    """Tell whether a file is only the visibility of the tracks beside it."""
    tracks = path.name[: -len(VISIBILITY)] + TRACKS
    return path.name.lower().endswith(VISIBILITY) and exists(path.with_name(tracks))


def read(source: PathFile) -> Raw:
    """Read tracks in pixels of the first frame with their visibility.

    Raises:
        UserError: the visibility is absent or does not fit, or shape or dtype are wrong.
    """
    if not source.path.name.lower().endswith(TRACKS):
        fail(
            source.path,
            "another name",
            source.path.name,
            f"<id>{TRACKS} beside <id>{VISIBILITY}, or format=numpy",
        )
    beside = partner(source.path)
    if not exists(beside):
        fail(source.path, "the visibility is missing", "nothing", f"{beside.name} beside it, or format=numpy")
    tracks = without_batch(source.path, source.array(), 4)
    if tracks.ndim != 3:
        fail(source.path, "wrong shape", str(tracks.shape), "(1,T,N,2)")
    with ArrayFile(beside) as file:
        visible = flags(beside, "visibility", without_batch(beside, file.read(), 3), tracks.shape[:2])
    return Raw(tracks, order="tn", visible=visible)


FORMATS = (
    Format(
        "wan_move", ("npy",), fits, read, "<id>_tracks.npy with <id>_visibility.npy (Wan-Move)", layout="tn"
    ),
)
