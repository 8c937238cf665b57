"""Reads the directory of the `folder` suite: which files form which case."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from toraeval.inputs.pairing import gather_numbered
from toraeval.inputs.text_files import is_file, read_text, shown
from toraeval.store.keys import safe_id
from toraeval.suites.shared import first_frame
from toraeval.trajectories import (
    PATH_SUFFIXES,
    Clip,
    NativeCase,
    Reading,
    case_name,
    combine,
    is_companion,
    is_native,
    read_native,
    read_paths,
    read_prompts,
)
from toraeval.types import Trajectories, UserError
from toraeval.video import has_picture_suffix

CASES_FILE, PROMPTS_FILE, PROMPT_SUFFIX = "cases.json", "prompts.txt", ".prompt.txt"
CAMERA, LAST = ".camera", ".last"  # what stands behind a case's id in the names of its other files
# Files that people keep beside data, never part of a case.
_IGNORED = re.compile(r"(?i)^(\..*|readme.*|licen[cs]e.*|source\..*|notice.*|.*\.md|thumbs\.db)$")


@dataclass(frozen=True)
class Entry:
    """One case as found on the disk, before it is brought to a length and size."""

    id: str
    original_id: str
    trajectories: Trajectories
    prompt: str
    picture: Path | None
    last: Path | None
    camera: Trajectories | None


def scan(folder: Path, reading: Reading) -> list[Entry]:
    """Find all cases of a directory.

    Args:
        folder: the directory.
        reading: how trajectory files are read.

    Raises:
        UserError: a file is malformed, missing, given twice or not used by any case.
    """
    files = {
        item.name: item
        for item in sorted(folder.iterdir())
        if item.is_file() and not _IGNORED.match(item.name)
    }
    used: set[str] = set()
    if CASES_FILE in files:
        used.add(CASES_FILE)
        natives = read_native(files[CASES_FILE])
    else:
        natives = _separate_files(folder, files, used, reading)
    natives = _with_prompt_list(folder, files, used, natives)
    for case in natives:
        if case.last_frame is not None and case.first_frame is None:
            raise UserError(
                f"suite folder: case {case.id} has a last frame without a first one; allowed: none or both"
            )
        for picture in filter(None, (case.first_frame, case.last_frame)):
            if picture.parent.resolve() == folder.resolve():
                used.add(picture.name)
            first_frame.open_picture(picture)
    _refuse_unused(folder, sorted(set(files) - used), [case.id for case in natives])
    return _entries(folder, natives)


def _separate_files(
    folder: Path, files: dict[str, Path], used: set[str], reading: Reading
) -> list[NativeCase]:
    by_stem: dict[str, list[str]] = {}
    for name, path in files.items():
        is_text = name == PROMPTS_FILE or name.endswith(PROMPT_SUFFIX)
        if is_companion(path):
            used.add(name)
        elif path.suffix.lower() in PATH_SUFFIXES and not is_text:
            by_stem.setdefault(case_name(path), []).append(name)
    others = {path.stem for path in files.values() if path.suffix.lower() not in PATH_SUFFIXES}
    objects = {
        name: [(number, file) for number, stem in members for file in by_stem[stem]]
        for name, members in gather_numbered(by_stem, others).items()
    }
    if not objects:
        raise UserError(
            f"suite folder: {folder} holds no trajectory; allowed: {CASES_FILE}, or files <id>.json, <id>.txt, "
            "<id>.npz (see docs/trajectories.md)"
        )
    cases = []
    owned = {i + CAMERA: i for i in objects if i + CAMERA in objects}  # camera paths of a case, not cases
    for identifier, numbered in sorted(objects.items()):
        names = [name for _, name in sorted(numbered)]
        if len({number for number, _ in numbered}) != len(numbered):
            raise UserError(
                f"suite folder: case {identifier} has several trajectory files: {', '.join(names)}; allowed: one, "
                f"or one per object named {identifier}.obj1.txt, {identifier}.obj2.txt"
            )
        used.update(names)
        if identifier in owned:
            continue
        background = [name for _, name in sorted(objects.get(identifier + CAMERA, []))]
        case = _one_case(folder, files, used, identifier, names, reading)
        if background:
            if case.camera is not None:
                raise UserError(f"suite folder: the camera of case {identifier} is given twice")
            case = replace(case, camera=_load(folder, background, reading, identifier))
        if identifier + LAST not in objects:
            last = _picture(folder, files, used, identifier + LAST, case.last_frame)
            case = replace(case, last_frame=last)
        cases.append(case)
    return cases


def _one_case(
    folder: Path,
    files: dict[str, Path],
    used: set[str],
    identifier: str,
    names: list[str],
    reading: Reading,
) -> NativeCase:
    paths = [folder / name for name in names]
    prompt, picture, last, camera = "", None, None, None
    for path in paths:
        if is_native(path):
            native = read_native(path)[0]
            prompt, picture = prompt or native.prompt, picture or native.first_frame
            last, camera = last or native.last_frame, camera or native.camera
    beside = identifier + PROMPT_SUFFIX
    if beside in files:
        used.add(beside)
        text = " ".join(read_text(files[beside]).split())
        if prompt or not text:
            problem = "the prompt is given twice" if prompt else "the file is empty"
            raise UserError(f"{files[beside]}: {problem}; allowed: one prompt per case")
        prompt = text
    picture = _picture(folder, files, used, identifier, picture)
    trajectories = _load(folder, names, reading, identifier)
    return NativeCase(identifier, trajectories, prompt, picture, last, camera)


def _load(folder: Path, names: list[str], reading: Reading, identifier: str) -> Trajectories:
    plain = replace(reading, canvas=None)  # a native file states its own
    paths = [folder / name for name in names]
    clip = Clip(name=identifier)
    return combine([read_paths(path, plain if is_native(path) else reading, clip) for path in paths])


def _picture(
    folder: Path, files: dict[str, Path], used: set[str], stem: str, stated: Path | None
) -> Path | None:
    """Return the picture named `stem`, or the one that a trajectory file states."""
    found = [name for name, path in files.items() if path.stem == stem and has_picture_suffix(path)]
    if len(found) + (stated is not None and stated.name not in found) > 1:
        what = "last" if stem.endswith(LAST) else "first"
        raise UserError(
            f"suite folder: case {stem.removesuffix(LAST)} has several {what} frames: {', '.join(found)}"
        )
    used.update(found)
    return folder / found[0] if found else stated


def _with_prompt_list(
    folder: Path, files: dict[str, Path], used: set[str], cases: list[NativeCase]
) -> list[NativeCase]:
    if PROMPTS_FILE not in files:
        return cases
    used.add(PROMPTS_FILE)
    prompts = read_prompts(files[PROMPTS_FILE])
    if len(prompts) != len(cases):
        ids = ", ".join(case.id for case in cases[:6])
        raise UserError(
            f"{files[PROMPTS_FILE]}: one prompt per case is needed; got {len(prompts)} prompts for {len(cases)} "
            f"cases ({ids}); allowed: {len(cases)} lines in this order"
        )
    joined = []
    for number, (case, (prompt, image)) in enumerate(zip(cases, prompts, strict=True), start=1):
        picture = None if image is None else folder / image
        if case.prompt or (picture and case.first_frame):
            what = "prompt" if case.prompt else "first frame"
            raise UserError(f"{files[PROMPTS_FILE]}:{number}: the {what} of case {case.id} is given twice")
        if picture is not None and not is_file(picture):
            raise UserError(
                f"{files[PROMPTS_FILE]}:{number}: no such image; got {shown(image)}; "
                f"allowed: a file in {folder}"
            )
        joined.append(replace(case, prompt=prompt, first_frame=picture or case.first_frame))
    return joined


def _refuse_unused(folder: Path, unused: list[str], ids: list[str]) -> None:
    if unused:
        shown = ", ".join(unused[:5]) + (f" and {len(unused) - 5} more" if len(unused) > 5 else "")
        known = ", ".join(ids[:6]) + (", ..." if len(ids) > 6 else "")
        raise UserError(
            f"suite folder: {folder} holds files that belong to no case: {shown}; allowed: files of the cases {known}; "
            "rename or remove the others"
        )


def _entries(folder: Path, cases: list[NativeCase]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for case in cases:
        identifier = safe_id(case.id)
        # Two names that differ only in case would share a folder on some file systems.
        if identifier.lower() in entries:
            other = entries[identifier.lower()].original_id
            raise UserError(
                f"suite folder: {folder}: cases {other!r} and {case.id!r} need names that differ more"
            )
        entries[identifier.lower()] = Entry(
            identifier,
            case.id,
            case.trajectories,
            case.prompt,
            case.first_frame,
            case.last_frame,
            case.camera,
        )
    return list(entries.values())
