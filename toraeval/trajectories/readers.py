"""Reads path files of every known format, and prompt lists.

Coordinates are kept as they stand, apart from fractions of the frame: rescaling and resampling are
`toraeval.geometry`'s. The formats are `toraeval.trajectories.formats`, what a file leaves open is settled in
`toraeval.trajectories.settling`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from toraeval import geometry
from toraeval.inputs.text_files import split_lines
from toraeval.trajectories import formats
from toraeval.trajectories.checks import check_count, fail, path_text
from toraeval.trajectories.reading import Canvas, ClipFacts, PathReading
from toraeval.trajectories.settling import settle
from toraeval.types import Trajectories, UserError

FORMATS = formats.NAMES


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    canvas: Canvas | None = None,
    format: str = "auto",
    layout: str = "auto",
    units: str = "auto",
    clip: ClipFacts | None = None,
) -> Trajectories:
    """Load one path file, or several as several objects of one case.

    Args:
        paths: file or files; objects keep their order.
        canvas: `(width, height)` of the coordinates. Needed where neither file nor format nor clip has one; replaces
            the default of a format; a file that states its own must agree.
        format: one of `FORMATS`; `auto` goes by suffix and content.
        layout: `nt` or `tn` for arrays whose axes neither the format nor the clip's length tells apart.
        units: `pixels`, `normalised`, `signed`, `tapnet` or `cotracker`, see `PathReading`.
        clip: what is known of the clip that the paths belong to.

    Returns:
        Trajectories on the canvas of the first file. Objects with fewer points are resampled to the longest,
        uniformly over the point index. `fps` is what all files that state one agree on, else None. `notes` say what
        was assumed.

    Raises:
        UserError: one line `file:line: rule; got ...; allowed ...`.
    """
    return read_paths(paths, PathReading(canvas, format, layout, units), clip)


def read_paths(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    reading: PathReading,
    clip: ClipFacts | None = None,
) -> Trajectories:
    """Load path files as `load` does, with its options in one object."""
    if reading.format not in FORMATS:
        raise UserError(f"trajectory format={reading.format!r}: allowed are {', '.join(FORMATS)}")
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise UserError("trajectories: no file given; allowed: at least one")
    return combine([_load_one(Path(path), reading, clip or ClipFacts()) for path in given])


def combine(parts: Sequence[Trajectories]) -> Trajectories:
    """Join the objects of several trajectories on the first one's canvas and the longest one's moments."""
    if len(parts) == 1:
        return parts[0]
    frames = max(part.num_frames for part in parts)
    check_count(parts[0].source, sum(part.num_objects for part in parts), frames)
    same = [geometry.resample(geometry.to_canvas(part, *parts[0].canvas), frames) for part in parts]
    rates = {part.fps for part in parts if part.fps is not None}
    return Trajectories(
        tracks_NT2=np.concatenate([part.tracks_NT2 for part in same]),
        visible_NT=np.concatenate([part.visible_NT for part in same]),
        canvas=parts[0].canvas,
        fps=rates.pop() if len(rates) == 1 else None,
        source=" + ".join(part.source for part in parts),
        names=tuple(name for part in parts for name in (part.names or ("",) * part.num_objects)),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def read_prompts(path: str | os.PathLike[str]) -> list[tuple[str, str | None]]:
    """Read a prompt list, one prompt a line, in Tora's `prompt@@image` form where it names a first frame.

    Returns:
        `(prompt, image name or None)` per line that is not empty.

    Raises:
        UserError: a line has no prompt, or more than one `@@`.
    """
    path = Path(path)
    prompts: list[tuple[str, str | None]] = []
    for number, line in enumerate(split_lines(path_text(path)), start=1):
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split("@@")]
        if len(parts) > 2 or not all(parts):
            fail(
                path,
                "a line must hold a prompt",
                line.strip(),
                '"prompt" or "prompt@@image.png"',
                line=number,
            )
        prompts.append((parts[0], parts[1] if len(parts) == 2 else None))
    return prompts


def _load_one(path: Path, reading: PathReading, clip: ClipFacts) -> Trajectories:
    source = formats.PathFile(path, clip.name)
    format = formats.choose(source) if reading.format == "auto" else formats.named(reading.format)
    return settle(path, format.name, format.read(source), reading, clip)
