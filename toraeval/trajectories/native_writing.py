"""Writes the native trajectory format; an exact round trip with `toraeval.trajectories.native`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toraeval import geometry
from toraeval.store.sealed import write_text
from toraeval.trajectories.checks import tiny
from toraeval.trajectories.native import FORMAT, PIXELS, VERSION, NativeCase
from toraeval.types import Trajectories, UserError


def dump_native(cases: Sequence[NativeCase], folder: str | os.PathLike[str] = ".") -> str:
    """Return cases as native JSON text; one path a line, floats exact, pictures relative to `folder`."""
    if not cases:
        raise UserError("native trajectories: no case to write; allowed: at least one")
    head = f'{{\n"format": "{FORMAT}",\n"version": {VERSION},\n'
    if len(cases) == 1:
        return f"{head}{_dump_case(cases[0], folder)}\n}}\n"
    body = ",\n".join(f"{{\n{_dump_case(case, folder)}\n}}" for case in cases)
    return f'{head}"cases": [\n{body}\n]\n}}\n'


def _dump_case(case: NativeCase, folder: str | os.PathLike[str]) -> str:
    trajectories = case.trajectories
    fields = [f'"id": {json.dumps(case.id, ensure_ascii=False)}', f'"canvas": {list(trajectories.canvas)}']
    if trajectories.fps is not None:
        fields.append(f'"fps": {json.dumps(float(trajectories.fps))}')
    if case.prompt:
        fields.append(f'"prompt": {json.dumps(case.prompt, ensure_ascii=False)}')
    for key, picture in (("first_frame", case.first_frame), ("last_frame", case.last_frame)):
        if picture is not None:
            name = Path(os.path.relpath(picture, folder)).as_posix()
            fields.append(f'"{key}": {json.dumps(name, ensure_ascii=False)}')
    if any(trajectories.names):
        fields.append(f'"names": {json.dumps(list(trajectories.names), ensure_ascii=False)}')
    seen = trajectories.tracks_NT2[trajectories.visible_NT]
    if tiny(seen if seen.size else trajectories.tracks_NT2):  # without the word such a file is not read again
        fields.append(f'"units": "{PIXELS}"')
    fields += _dump_paths(trajectories)
    if case.camera is not None:
        camera = geometry.to_canvas(case.camera, *trajectories.canvas)
        fields.append('"camera": {\n' + ",\n".join(_dump_paths(camera)) + "\n}")
    return ",\n".join(fields)


def _dump_paths(paths: Trajectories) -> list[str]:
    fields = [_dump_lists("points", paths.tracks_NT2.tolist())]
    if not paths.visible_NT.all():
        fields.append(_dump_lists("visible", paths.visible_NT.tolist()))
    return fields


def _dump_lists(key: str, rows: list[Any]) -> str:
    lines = ",\n".join(json.dumps(row) for row in rows)
    return f'"{key}": [\n{lines}\n]'


def write_native(path: str | os.PathLike[str], cases: Sequence[NativeCase]) -> Path:
    """Write cases to a native file, complete or not at all.

    Raises:
        UserError: there is no case, or the place is not writable.
    """
    path = Path(path)
    write_text(path, dump_native(cases, path.parent))
    return path
