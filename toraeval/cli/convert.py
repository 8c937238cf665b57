"""`convert`: path files from one format to another."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from toraeval.cli.arguments import split
from toraeval.cli.values import pair, whole
from toraeval.registry import unknown
from toraeval.types import UserError

HELP = """Convert path files between the formats of docs/trajectories.md; what the new one cannot hold is printed.

  python -m toraeval convert fox.json fox.txt                       native to Tora's text (256x256 canvas)
  python -m toraeval convert fox.txt fox.json canvas=[512,512]      any format to native
  python -m toraeval convert fox.json fox.npz                       NumPy: exact, with visibility and canvas
  python -m toraeval convert fox.json fox.pth                       ATI; to=wan_move, comfyui, dragnuwa, ... are others
  python -m toraeval convert a.txt b.txt both.json                  two files, two objects of one case
  python -m toraeval convert masks/cat cat.json                 colour maps of MagicMotion; format=magicmotion maps.mp4
  python -m toraeval convert DIR OUT to=wan_move size=[832,480]     every case of a folder (layout of suite=folder)

  to=FORMAT         by default from the suffix: .json native, .txt tora, .csv csv, .npz numpy, .pth ati, .pkl tapvid
  size=[W,H]        canvas of the written coordinates; by default the format's own, else that of the paths
  frames=N          number of points; by default as many as there are
  box=[W,H]         size of the objects in pixels, for sgi2v and for the colour maps of magicmotion
  format= canvas= layout= units=   of the files that are read, as in score
"""
MAPS = "magicmotion"
BY_SUFFIX = {
    ".json": "native",
    ".txt": "tora",
    ".csv": "csv",
    ".npz": "numpy",
    ".pth": "ati",
    ".pkl": "tapvid",
}
KEYS = {
    "to": "", "size": "", "frames": "", "box": "", "format": "auto", "canvas": "", "layout": "auto", "units": "auto",
}  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("convert", argv, KEYS)
    if len(words) < 2:
        raise UserError(
            "convert: give the file to read and the file to write, e.g. python -m toraeval convert a.txt a.json"
        )
    from toraeval.inputs.text_files import is_folder
    from toraeval.trajectories import PathReading, read_paths
    from toraeval.trajectories.colour_maps import is_colour_maps, read_colour_maps
    from toraeval.trajectories.writers import WRITERS, Target
    from toraeval.trajectories.writing import write_paths

    *sources, out = (Path(word) for word in words)
    to = values["to"] or BY_SUFFIX.get(out.suffix.lower(), "")
    if to not in WRITERS:
        seen = to or f"{out.name}, whose suffix does not say it"
        raise UserError(unknown("format to write", seen, WRITERS) + "; give it as to=FORMAT")
    target = Target(
        to,
        canvas=pair("convert", "size", values["size"]),
        frames=whole("convert", "frames", values["frames"], 2, 65536),
        box=pair("convert", "box", values["box"]),
    )
    given = "auto" if values["format"] == MAPS else values["format"]
    reading = PathReading(
        pair("convert", "canvas", values["canvas"]), given, values["layout"], values["units"]
    )
    same = [source for source in sources if _is_written(source, out, to)]
    if same:
        raise UserError(f"convert: {same[0]} is read and written; give another name for the result")
    if len(sources) == 1 and (values["format"] == MAPS or is_colour_maps(sources[0])):
        paths = read_colour_maps(sources[0])
        _report("", write_paths(out, paths, target), paths.notes)
        return 0
    if any(is_folder(source) for source in sources):
        return _folder(sources, out, reading, target)
    _report("", write_paths(out, paths := read_paths(sources, reading), target), paths.notes)
    return 0


def _is_written(source: Path, out: Path, to: str) -> bool:
    """Tell whether a file that is read is one of those that are written."""
    if os.path.realpath(source) == os.path.realpath(out):
        return True
    names = {"wan_move": r"(_tracks|_visibility)\.npy", "tora": rf"\.obj\d+{re.escape(out.suffix)}"}
    names["motionctrl"] = names["tora"]
    beside = os.path.realpath(source.parent) == os.path.realpath(out.parent)
    stem = out.name.removesuffix("_tracks.npy").removesuffix(out.suffix)
    return beside and to in names and re.fullmatch(re.escape(stem) + names[to], source.name) is not None


def _folder(sources: list[Path], out: Path, reading: Any, target: Any) -> int:
    """Convert every case of a folder; prompts and pictures go along where the format holds them."""
    from dataclasses import replace

    from toraeval.suites.folder.scan import scan
    from toraeval.trajectories import write_native
    from toraeval.trajectories.writers import WRITERS
    from toraeval.trajectories.writing import write_paths

    if len(sources) > 1:
        raise UserError(f"convert: {len(sources)} inputs with a folder among them; allowed: one folder")
    found = scan(sources[0], reading)
    if target.format == "native" and out.suffix.lower() == ".json":
        cases = [replace(case, id=identifier) for identifier, case in found.items()]
        print(write_native(out, cases))
        return 0
    for identifier, case in found.items():
        place = out / f"{identifier}{WRITERS[target.format].suffix}"
        written = write_paths(place, case.trajectories, replace(target, prompt=case.prompt))
        beside = [
            name for name, there in (("pictures", case.first_frame), ("camera paths", case.camera)) if there
        ]
        notes = (*case.trajectories.notes, *(f"not held by {target.format}: {name}" for name in beside))
        _report(f"{identifier}: ", written, notes)
    return 0


def _report(name: str, written: Any, read: tuple[str, ...]) -> None:
    for file in written.files:
        print(file)
    for note in (*read, *written.notes):
        print(f"note: {name}{note}")
