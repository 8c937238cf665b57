"""Reads the directory of the `folder` suite: which files form which case."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from toraeval.inputs.pairing import gather_numbered
from toraeval.inputs.text_files import is_file, listed, read_text, shown
from toraeval.store.keys import safe_id
from toraeval.suites.shared import first_frame
from toraeval.trajectories import (
    PATH_SUFFIXES,
    ClipFacts,
    NativeCase,
    PathReading,
    case_name,
    combine,
    is_companion,
    is_native,
    read_native,
    read_paths,
    read_prompts,
)
from toraeval.types import Trajectories, UserError, counted
from toraeval.video import has_picture_suffix, has_video_suffix

CASES_FILE, PROMPTS_FILE, PROMPT_SUFFIX = "cases.json", "prompts.txt", ".prompt.txt"
CAMERA, LAST, TAKE = (
    ".camera",
    ".last",
    ".take2",
)  # what stands behind a case's id in the names of its other files
# Files that people keep beside data, never part of a case.
_IGNORED = re.compile(r"(?i)^(\..*|readme.*|licen[cs]e.*|source\..*|notice.*|.*\.md|thumbs\.db)$")


def scan(folder: Path, reading: PathReading) -> dict[str, NativeCase]:
    """Find all cases of a directory, by an id that is safe in file names.

    Args:
        folder: the directory.
        reading: how trajectory files are read.

    Raises:
        UserError: a file is malformed, missing, given twice or not used by any case.
    """
    directory = _Directory(folder, reading)
    cases = [directory.with_clips(case) for case in directory.cases()]
    for case in cases:
        if case.last_frame is not None and case.first_frame is None:
            raise UserError(
                f"suite folder: case {case.id} has a last frame without a first one; allowed: none or both"
            )
        for picture in filter(None, (case.first_frame, case.last_frame)):
            if picture.parent.resolve() == folder.resolve():
                directory.used.add(picture.name)
            first_frame.open_picture(picture)
    directory.refuse_unused([case.id for case in cases])
    found: dict[str, tuple[str, NativeCase]] = {}
    for case in cases:
        identifier = safe_id(case.id)
        # Two names that differ only in case would share a folder on some file systems.
        if identifier.lower() in found:
            other = found[identifier.lower()][1].id
            raise UserError(
                f"suite folder: {folder}: cases {other!r} and {case.id!r} need names that differ more"
            )
        found[identifier.lower()] = identifier, case
    return dict(found.values())


class _Directory:
    """The files of a directory, and which of them belong to a case."""

    def __init__(self, folder: Path, reading: PathReading) -> None:
        self.folder, self.reading = folder, reading
        self.files = {
            item.name: item
            for item in sorted(folder.iterdir())
            if item.is_file() and not _IGNORED.match(item.name)
        }
        self.used: set[str] = set()

    def cases(self) -> list[NativeCase]:
        if CASES_FILE in self.files:
            self.used.add(CASES_FILE)
            return self._with_prompt_list(read_native(self.files[CASES_FILE]))
        return self._with_prompt_list(self._separate_files())

    def with_clips(self, case: NativeCase) -> NativeCase:
        """Return the case with the real clips `<id>.mp4` and `<id>.take2.mp4`, if they are there."""
        found = [self._clip(case.id), self._clip(case.id + TAKE)]
        if found[1] and not found[0]:
            raise UserError(
                f"suite folder: case {case.id} has a second take, {found[1].name}, without a first one; allowed: "
                f"{case.id}{found[1].suffix} beside it"
            )
        return replace(case, clip=found[0], second_take=found[1])

    def _clip(self, stem: str) -> Path | None:
        names = [name for name, path in self.files.items() if path.stem == stem and has_video_suffix(path)]
        if len(names) > 1:
            raise UserError(f"suite folder: {stem} has several clips: {', '.join(names)}; allowed: one")
        self.used.update(names)
        return self.files[names[0]] if names else None

    def refuse_unused(self, ids: list[str]) -> None:
        unused = sorted(set(self.files) - self.used)
        if unused:
            known = ", ".join(ids[:6]) + (", ..." if len(ids) > 6 else "")
            raise UserError(
                f"suite folder: {self.folder} holds files that belong to no case: {listed(unused, 5)}; allowed: files "
                f"of the cases {known}; rename or remove the others"
            )

    def _objects(self) -> dict[str, list[tuple[int, str]]]:
        """Return object number and file name of every trajectory file, by case."""
        by_stem: dict[str, list[str]] = {}
        for name, path in self.files.items():
            is_text = name == PROMPTS_FILE or name.endswith(PROMPT_SUFFIX)
            if is_companion(path):
                self.used.add(name)
            elif path.suffix.lower() in PATH_SUFFIXES and not is_text:
                by_stem.setdefault(case_name(path), []).append(name)
        others = {path.stem for path in self.files.values() if path.suffix.lower() not in PATH_SUFFIXES}
        return {
            name: [(number, file) for number, stem in members for file in by_stem[stem]]
            for name, members in gather_numbered(by_stem, others).items()
        }

    def _separate_files(self) -> list[NativeCase]:
        objects = self._objects()
        if not objects:
            raise UserError(
                f"suite folder: {self.folder} holds no trajectory; allowed: {CASES_FILE}, or files <id>.json, "
                "<id>.txt, <id>.npz (see docs/trajectories.md)"
            )
        cases = []
        owned = {i + CAMERA for i in objects if i + CAMERA in objects}  # camera paths of a case, not cases
        for identifier, numbered in sorted(objects.items()):
            names = [name for _, name in sorted(numbered)]
            if len({number for number, _ in numbered}) != len(numbered):
                raise UserError(
                    f"suite folder: case {identifier} has several trajectory files: {', '.join(names)}; allowed: one, "
                    f"or one per object named {identifier}.obj1.txt, {identifier}.obj2.txt"
                )
            self.used.update(names)
            if identifier in owned:
                continue
            background = [name for _, name in sorted(objects.get(identifier + CAMERA, []))]
            case = self._one_case(identifier, names)
            if background:
                if case.camera is not None:
                    raise UserError(f"suite folder: the camera of case {identifier} is given twice")
                case = replace(case, camera=self._load(background, identifier))
            if identifier + LAST not in objects:
                case = replace(case, last_frame=self._picture(identifier + LAST, case.last_frame))
            cases.append(case)
        return cases

    def _one_case(self, identifier: str, names: list[str]) -> NativeCase:
        prompt, picture, last, camera = "", None, None, None
        for path in (self.folder / name for name in names):
            if is_native(path):
                native = read_native(path)[0]
                prompt, picture = prompt or native.prompt, picture or native.first_frame
                last, camera = last or native.last_frame, camera or native.camera
        beside = self.files.get(identifier + PROMPT_SUFFIX)
        if beside is not None:
            self.used.add(beside.name)
            text = " ".join(read_text(beside).split())
            if prompt or not text:
                problem = "the prompt is given twice" if prompt else "the file is empty"
                raise UserError(f"{beside}: {problem}; allowed: one prompt per case")
            prompt = text
        picture = self._picture(identifier, picture)
        return NativeCase(identifier, self._load(names, identifier), prompt, picture, last, camera)

    def _load(self, names: list[str], identifier: str) -> Trajectories:
        plain = replace(self.reading, canvas=None)  # a native file states its own
        paths = [self.folder / name for name in names]
        clip = ClipFacts(name=identifier)
        return combine([read_paths(path, plain if is_native(path) else self.reading, clip) for path in paths])

    def _picture(self, stem: str, stated: Path | None) -> Path | None:
        """Return the picture named `stem`, or the one that a trajectory file states."""
        found = [name for name, path in self.files.items() if path.stem == stem and has_picture_suffix(path)]
        if len(found) + (stated is not None and stated.name not in found) > 1:
            what = "last" if stem.endswith(LAST) else "first"
            raise UserError(
                f"suite folder: case {stem.removesuffix(LAST)} has several {what} frames: {', '.join(found)}"
            )
        self.used.update(found)
        return self.folder / found[0] if found else stated

    def _with_prompt_list(self, cases: list[NativeCase]) -> list[NativeCase]:
        file = self.files.get(PROMPTS_FILE)
        if file is None:
            return cases
        self.used.add(PROMPTS_FILE)
        prompts = read_prompts(file)
        if len(prompts) != len(cases):
            ids = ", ".join(case.id for case in cases[:6])
            raise UserError(
                f"{file}: one prompt per case is needed; got {counted(len(prompts), 'prompt')} for "
                f"{counted(len(cases), 'case')} ({ids}); "
                f"allowed: {counted(len(cases), 'line')} in this order"
            )
        joined = []
        for number, (case, (prompt, image)) in enumerate(zip(cases, prompts, strict=True), start=1):
            picture = None if image is None else self.folder / image
            if case.prompt or (picture and case.first_frame):
                what = "prompt" if case.prompt else "first frame"
                raise UserError(f"{file}:{number}: the {what} of case {case.id} is given twice")
            if picture is not None and not is_file(picture):
                raise UserError(
                    f"{file}:{number}: no such image; got {shown(image)}; allowed: a file in {self.folder}"
                )
            joined.append(replace(case, prompt=prompt, first_frame=picture or case.first_frame))
        return joined
