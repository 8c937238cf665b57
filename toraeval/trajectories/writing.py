"""Writes paths in the file formats of published tools; what a format cannot hold is said, never dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from toraeval import geometry, registry
from toraeval.trajectories.checks import check_canvas, tiny
from toraeval.trajectories.colour_maps import map_losses
from toraeval.trajectories.formats import ati
from toraeval.trajectories.formats.source import READ_ALIKE
from toraeval.trajectories.reading import Canvas
from toraeval.trajectories.writers import WRITERS, Target, Writer
from toraeval.types import Trajectories, UserError, be, counted


@dataclass(frozen=True)
class Written:
    """The files that were written, and what they do not hold or hold in another form, a sentence each."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def write_paths(path: Path, paths: Trajectories, target: Target) -> Written:
    """Write the paths of one case.

    Args:
        path: file to write; formats of several files derive the others' names from it.
        paths: what to write.
        target: format, canvas, number of moments.

    Raises:
        UserError: an unknown format, a suffix it is not read under, a box that is missing, or a place not writable.
    """
    if target.format not in WRITERS:
        raise UserError(registry.unknown("format to write", target.format, WRITERS))
    writer = WRITERS[target.format]
    if writer.box and target.box is None:
        raise UserError(
            f"{path}: {target.format} holds boxes and paths are points; give the size of the objects in pixels, e.g. "
            "'box=[64,48]'"
        )
    canvas = check_canvas("size", target.canvas) if target.canvas else writer.canvas or paths.canvas
    moved = geometry.to_canvas(paths, *canvas)
    frames = target.frames or writer.frames or paths.num_frames
    if writer.frames not in (None, frames):
        raise UserError(f"{path}: frames={frames}; {target.format} holds exactly {writer.frames} moments")
    if target.format == "ati":
        moved = ati.placed(moved)
    elif frames != paths.num_frames:
        moved = geometry.resample(moved, frames)
    allowed = READ_ALIKE.get(writer.suffix)
    if allowed and path.suffix.lower() not in allowed:
        got = f"{path}: {target.format} is not read from a file of suffix {path.suffix or '(none)'}"
        raise UserError(f"{got}; allowed: {', '.join(allowed)}")
    notes = _conversions(paths, moved, writer) + _losses(moved, writer, target)
    return Written(tuple(writer.write(path, moved, replace(target, canvas=canvas))), tuple(notes))


def _conversions(before: Trajectories, after: Trajectories, writer: Writer) -> list[str]:
    notes = []
    if before.canvas != after.canvas:
        notes.append(f"moved from the {_size(before.canvas)} canvas to {_size(after.canvas)}")
    if before.num_frames != after.num_frames and writer.frames == ati.SAMPLES:
        notes.append(
            f"{counted(before.num_frames, 'moment')} brought to the {ati.FRAMES} that ATI's loader picks of "
            f"{ati.SAMPLES}"
        )
    elif before.num_frames != after.num_frames:
        notes.append(
            f"{counted(before.num_frames, 'moment')} brought to {after.num_frames}, evenly over the points"
        )
    if writer.whole and (after.tracks_NT2 % 1).any():
        notes.append("coordinates rounded to whole pixels, up to half a pixel each")
    return notes


def _losses(paths: Trajectories, writer: Writer, target: Target) -> list[str]:
    hidden = int((~paths.visible_NT).sum())
    they_were = "it was" if hidden == 1 else "they were"
    carried = {
        f"{counted(hidden, 'hidden point')} {be(hidden)} written as if {they_were} visible": "visible"
        if hidden
        else None,
        f"the frame rate {paths.fps or 0:g}": "fps" if paths.fps else None,
        "the names of the objects": "names" if any(paths.names) else None,
        "the prompt": "prompt" if target.prompt else None,
        f"the canvas {_size(paths.canvas)}": None if paths.canvas == writer.canvas else "canvas",
    }
    lost = [text for text, fact in carried.items() if fact and fact not in writer.holds]
    notes = [text for text in lost if "hidden" in text]
    outside = int((~paths.visible_NT & ~geometry.inside_canvas(paths.tracks_NT2, paths.canvas)).sum())
    if notes and outside:
        notes.append(f"{outside} of them lie outside the canvas: such a file is refused when it is read")
    if target.format == "magicmotion" and target.box:
        notes += map_losses(paths, target.box)
    others = [text for text in lost if "hidden" not in text]
    if others:
        notes.append(f"not held by {target.format}: {', '.join(others)}")
    if "canvas" not in writer.holds and paths.canvas != writer.canvas:
        notes.append(f"read it with canvas=[{paths.canvas[0]},{paths.canvas[1]}]")
    if "canvas" not in writer.holds and tiny(paths.tracks_NT2):
        notes.append("its coordinates are below 1.5 pixels: read it with units=pixels")
    return notes


def _size(canvas: Canvas) -> str:
    return f"{canvas[0]}x{canvas[1]}"
