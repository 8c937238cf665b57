"""What the draw page asks of this machine: open path files, save a drawing in another format, keep it in a folder."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from toraeval import geometry
from toraeval.inputs.text_files import is_folder, listed
from toraeval.store.keys import safe_id
from toraeval.store.sealed import atomic, write_text
from toraeval.suites.folder.scan import scan
from toraeval.trajectories import NativeCase, PathReading, dump_native, is_companion, load, write_native
from toraeval.trajectories.checks import JsonFile
from toraeval.trajectories.native import looks_native, parse_native
from toraeval.trajectories.reading import Canvas
from toraeval.trajectories.writers import WRITERS, Target
from toraeval.trajectories.writing import write_paths
from toraeval.types import UserError

OFFERED = ("native", "tora", "motionctrl", "dragnuwa", "comfyui", "wan_move", "ati", "csv", "numpy")
"""Formats that the page offers, by their names in `WRITERS`."""
UNKNOWN_CANVAS = "the canvas is not known"
_RESERVED = re.compile(r"(?i)(readme|licen[cs]e|source|notice|cases|prompts|thumbs).*")


def opened(files: Sequence[Path], here: Canvas, onto: bool, reading: PathReading) -> dict[str, Any]:
    """Read path files as cases for the page.

    Args:
        files: one native file, or files of another format that are the objects of one case.
        here: canvas of the page; coordinates of files whose canvas nothing tells are taken to be its pixels.
        onto: move the paths to that canvas.
        reading: how the files are read.

    Returns:
        `cases`, each as in a native file with an `id`, and `notes`, a sentence each.

    Raises:
        UserError: no path file, or one that cannot be read.
    """
    given = [file for file in files if not is_companion(file)]
    if not given:
        raise UserError(
            "no path file was given; allowed: one or more files of the formats in docs/trajectories.md"
        )
    notes: list[str] = []
    if len(given) == 1 and given[0].suffix.lower() == ".json" and looks_native(JsonFile(given[0]).data):
        cases = _native(given[0], notes)
    else:
        cases = [_foreign(given, here, reading, notes)]
    if onto:
        for index, case in enumerate(cases):
            if case.trajectories.canvas != here:
                size = "x".join(map(str, case.trajectories.canvas))
                notes.append(f"{case.id}: moved from the {size} canvas to {here[0]}x{here[1]}")
                cases[index] = replace(case, trajectories=geometry.to_canvas(case.trajectories, *here))
    return {"cases": [_as_json(case) for case in cases], "notes": notes}


def _native(file: Path, notes: list[str]) -> list[NativeCase]:
    """Return the cases of a native file without their pictures, which lie where the page cannot look."""
    data = JsonFile(file).data
    for case in [data, *(data.get("cases") or [])] if isinstance(data, dict) else []:
        pictures = [
            key for key in ("first_frame", "last_frame") if isinstance(case, dict) and case.pop(key, None)
        ]
        notes += [f"the {key} that {file.name} names is not loaded: open it as a picture" for key in pictures]
    parsed = JsonFile(file)
    parsed.data = data
    return parse_native(parsed)


def _foreign(files: Sequence[Path], here: Canvas, reading: PathReading, notes: list[str]) -> NativeCase:
    asked = (reading.format, reading.layout, reading.units)
    try:
        paths = load(files, reading.canvas, *asked)  # type: ignore[arg-type]
    except UserError as error:
        if reading.canvas is not None or UNKNOWN_CANVAS not in str(error):
            raise
        paths = load(files, here, *asked)
        notes.append(f"no canvas in the file: read as pixels of the {here[0]}x{here[1]} canvas here")
    notes += paths.notes
    stem = re.sub(r"(_tracks|\.obj\d+)$", "", files[0].stem)
    return NativeCase(stem or "case", paths)


def _as_json(case: NativeCase) -> dict[str, Any]:
    return dict(json.loads(dump_native([case])))


def opened_uploads(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Read the files that the page sends: `files` [{name, data}], `canvas`, `onto`."""
    with TemporaryDirectory(prefix="toraeval-") as place:
        folder = Path(place)
        files = []
        for number, sent in enumerate(asked["files"]):
            name = re.sub(r"[^\w.-]", "_", str(sent["name"]))[-100:].lstrip(".")
            files.append(folder / (name if "." in name else f"file{number}.{name}"))
            files[-1].write_bytes(_decoded(sent["data"]))
        width, height = (int(side) for side in asked["canvas"])
        try:
            return opened(files, (width, height), bool(asked["onto"]), PathReading())
        except UserError as error:
            raise UserError(str(error).replace(f"{place}/", "")) from None


def saved(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a drawing as files of a format: `case` as in a native file, `format`, `frames` or null, `canvas` or null.

    Raises:
        UserError: the drawing breaks a rule of the native format, or the format cannot hold it.
    """
    case, format = _drawing(asked["case"]), str(asked["format"])
    name = file_stem(case.id)
    with TemporaryDirectory(prefix="toraeval-") as place:
        folder = Path(place)
        target = Target(
            format,
            canvas=tuple(asked["canvas"]) if asked.get("canvas") else None,
            frames=int(asked["frames"]) if asked.get("frames") else None,
            prompt=case.prompt,
        )
        if format == "native" and target.canvas is None and target.frames is None:  # with the camera's paths
            files: tuple[Path, ...] = (write_native(folder / f"{name}.json", [case]),)
            notes: tuple[str, ...] = ()
        else:
            suffix = WRITERS[format].suffix if format in WRITERS else ""
            written = write_paths(folder / f"{name}{suffix}", case.trajectories, target)
            files, notes = written.files, written.notes
            notes += (f"not held by {format} at another size or length: camera paths",) if case.camera else ()
        sent = [{"name": file.name, "data": base64.b64encode(file.read_bytes()).decode()} for file in files]
    return {"files": sent, "notes": list(notes)}


def kept(asked: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write a drawing, and its `picture` (PNG or null), as one case of the folder `out` for `suite=folder`.

    Returns:
        `exists` True if the case is there already and `replace` is not set, with nothing written; else the `files`,
        the `command` that runs the folder, and `notes`.

    Raises:
        UserError: the drawing breaks a rule of the native format, or the folder cannot be written.
    """
    case = _drawing(asked["case"])
    name = file_stem(case.id)
    drawing, picture = out / f"{name}.json", out / f"{name}.png"
    if drawing.exists() and not asked.get("replace"):
        return {"exists": True, "name": drawing.name}
    if out.exists() and not is_folder(out):
        raise UserError(f"{out} is not a folder; give another one with out=DIR")
    data = _decoded(asked["picture"]) if asked.get("picture") else None
    if data is not None:
        _require_png(data)
        atomic(picture, lambda temporary: temporary.write_bytes(data))
    elif drawing.exists():
        picture.unlink(missing_ok=True)  # the one of the drawing that is replaced
    write_text(drawing, dump_native([replace(case, id=name)], out))
    files = [str(drawing)] + ([str(picture)] if data is not None else [])
    command = f"python -m toraeval run suite=folder {shlex.quote(f'suite.path={out}')}"
    try:
        found = scan(out, PathReading())
    except UserError as error:
        return {"files": files, "command": command, "notes": [f"the folder cannot be run yet: {error}"]}
    return {"files": files, "command": command, "notes": [f"{out} holds {listed(list(found))}"]}


def file_stem(identifier: str) -> str:
    """Return a case's name as the name of its files, which no other rule of `suite=folder` claims."""
    name = safe_id(identifier.strip() or "case")
    name = safe_id(name.replace(".", "_")) if "." in name else name
    return f"case_{name}" if _RESERVED.fullmatch(name) else name


def _drawing(case: Any) -> NativeCase:
    if not isinstance(case, dict) or {"first_frame", "last_frame", "cases"} & set(case):
        raise UserError("the drawing is not one native case without pictures")
    text = json.dumps(case)
    try:
        return parse_native(JsonFile(Path("drawing"), text))[0]
    except UserError as error:
        raise UserError(re.sub(r"^drawing(:\d+)?: ", "", str(error))) from None


def _decoded(data: Any) -> bytes:
    return base64.b64decode(str(data), validate=True)


def _require_png(data: bytes) -> None:
    import io

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.verify()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"the picture is not a PNG: {error}") from error
