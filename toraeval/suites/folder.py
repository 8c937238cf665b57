"""The `folder` suite: the user's own prompts, trajectories and first frames, from one directory.

The directory layout is documented in docs/trajectories.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import geometry
from toraeval.suites import first_frame
from toraeval.suites.base import case_seed, check_request, content_hash, safe_id
from toraeval.trajectories import NativeCase, combine, is_native, load, read_native, read_prompts
from toraeval.types import ByteArray, Case, Trajectories, UserError

CASES_FILE, PROMPTS_FILE, PROMPT_SUFFIX = "cases.json", "prompts.txt", ".prompt.txt"
_OBJECT_FILE = re.compile(r"(?P<id>.+?)(\.(?P<number>[0-9]+))?\.(json|txt|csv|npy|npz)")
# Files that people keep beside data, never part of a case.
_IGNORED = re.compile(r"(?i)^(\..*|readme.*|licen[cs]e.*|source\..*|notice.*|.*\.md|thumbs\.db)$")


@dataclass(frozen=True)
class _Entry:
    """One case as found on the disk, before it is brought to a length and size."""

    id: str
    original_id: str
    trajectories: Trajectories
    prompt: str
    picture: Path | None


class Folder:
    """Cases from a directory: `cases.json`, or one trajectory file per case with prompt and picture beside it.

    Args:
        path: the directory.
        canvas: `[width, height]` of trajectory files that state none; None means 256 x 256 for text and
            576 x 320 for DragNUWA's JSON, and is an error for `.npy`.
        rule: how paths are brought to the requested length, see `toraeval.geometry.resample`.
        fps: frame rate of cases whose trajectories state none.

    Raises:
        UserError: the directory is absent or empty, a file is malformed, missing or not used by any case.
    """

    name = "folder"
    version = "1"

    def __init__(
        self,
        path: str | os.PathLike[str],
        canvas: Sequence[int] | None = None,
        rule: str = "index",
        fps: float = 8.0,
    ) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"suite folder: {self.path} is no directory; give one with suite.path=DIR")
        if rule not in geometry.RESAMPLING_RULES:
            allowed = ", ".join(geometry.RESAMPLING_RULES)
            raise UserError(f"suite folder: rule={rule!r}; allowed: {allowed}")
        if not fps > 0:
            raise UserError(f"suite folder: fps={fps}; allowed: numbers above 0")
        self.rule, self.fps = rule, float(fps)
        self._canvas = None if canvas is None else (int(canvas[0]), int(canvas[1]))
        self._entries = _scan(self.path, self._canvas)
        self._hash = _hash(self._entries)

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Return the cases at one length and size, sorted by id (in file order for `cases.json`).

        A first frame is resized with Pillow's bicubic filter until it covers the frame and its centre is
        cropped; paths move with it as `first_frame.place_paths` says.

        Raises:
            UserError: fewer than 2 frames, a size below 16 pixels, or a path that does not start visibly
                inside the frame.
        """
        check_request(self.name, frames, height, width, limit)
        return [self._case(entry, frames, height, width) for entry in self._entries[:limit]]

    def describe(self) -> dict[str, Any]:
        """Return counts, lengths and the content hash."""
        entries = self._entries
        return {
            "name": self.name,
            "version": self.version,
            "path": str(self.path),
            "cases": len(entries),
            "single_object_cases": sum(entry.trajectories.num_objects == 1 for entry in entries),
            "with_prompt": sum(bool(entry.prompt) for entry in entries),
            "with_first_frame": sum(entry.picture is not None for entry in entries),
            "points": sorted({entry.trajectories.num_frames for entry in entries}),
            "hash": self._hash,
            "licence": "the user's own",
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, resampling rule, frame rate and the SHA-256 over all contents."""
        return {
            "suite": self.name,
            "version": self.version,
            "rule": self.rule,
            "fps": self.fps,
            "hash": self._hash,
        }

    def _case(self, entry: _Entry, frames: int, height: int, width: int) -> Case:
        trajectories = entry.trajectories.to_frames(frames, self.rule)
        picture: ByteArray | None = None
        tags: dict[str, Any] = {}
        if entry.picture is None:
            trajectories = trajectories.to_canvas(width, height)
        else:
            trajectories, picture, tags = _on_picture(trajectories, entry.picture, width, height)
        for index in np.flatnonzero(~trajectories.visible_NT[:, 0]):
            x, y = trajectories.tracks_NT2[index, 0]
            raise UserError(
                f"{trajectories.source}: object {index + 1} must start visibly inside the frame; got "
                f"({x:.1f}, {y:.1f}) on {width}x{height}; allowed: another start, or another width and height"
            )
        fps, seed = entry.trajectories.fps or self.fps, case_seed(entry.id)
        request = {"frames": frames, "height": height, "width": width, "fps": fps, "seed": seed}
        return Case(
            id=entry.id,
            suite=f"{self.name}-v{self.version}",
            prompt=entry.prompt,
            trajectories=replace(trajectories, fps=fps),
            frames=frames,
            height=height,
            width=width,
            fps=fps,
            seed=seed,
            first_frame_HWC=picture,
            tags={
                "family": "folder",
                "objects": trajectories.num_objects,
                "original_id": entry.original_id,
                "points": entry.trajectories.num_frames,
                "canvas": list(entry.trajectories.canvas),
                **tags,
            },
            content_hash=content_hash(entry.prompt, trajectories, request, picture),
        )


def _on_picture(
    trajectories: Trajectories, path: Path, width: int, height: int
) -> tuple[Trajectories, ByteArray, dict[str, Any]]:
    picture, plan = first_frame.fit(first_frame.open_picture(path), width, height)
    moved, paths_on = first_frame.place_paths(trajectories, plan)
    tags = {
        "first_frame": path.name,
        "first_frame_method": first_frame.METHOD,
        "first_frame_size": list(plan.source),
        "paths_on": paths_on,
    }
    return moved, picture, tags


# --- scanning the directory -----------------------------------------------------------------------------------


def _scan(folder: Path, canvas: tuple[int, int] | None) -> list[_Entry]:
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
        natives = _separate_files(folder, files, used, canvas)
    natives = _with_prompt_list(folder, files, used, natives)
    for case in natives:
        if case.first_frame is not None:
            if case.first_frame.parent.resolve() == folder.resolve():
                used.add(case.first_frame.name)
            first_frame.open_picture(case.first_frame)
    _refuse_unused(folder, sorted(set(files) - used), [case.id for case in natives])
    return _entries(folder, natives)


def _separate_files(
    folder: Path, files: dict[str, Path], used: set[str], canvas: tuple[int, int] | None
) -> list[NativeCase]:
    objects: dict[str, list[tuple[int, str]]] = {}
    for name in files:
        match = _OBJECT_FILE.fullmatch(name)
        if match and name != PROMPTS_FILE and not name.endswith(PROMPT_SUFFIX):
            objects.setdefault(match["id"], []).append((int(match["number"] or 0), name))
    if not objects:
        raise UserError(
            f"suite folder: {folder} holds no trajectory; allowed: {CASES_FILE}, or files <id>.json, <id>.txt, "
            "<id>.npz (see docs/trajectories.md)"
        )
    cases = []
    for identifier, numbered in sorted(objects.items()):
        names = [name for _, name in sorted(numbered)]
        if len({number for number, _ in numbered}) != len(numbered):
            raise UserError(
                f"suite folder: case {identifier} has several trajectory files: {', '.join(names)}; allowed: one, "
                f"or one per object named {identifier}.1.txt, {identifier}.2.txt"
            )
        used.update(names)
        cases.append(_one_case(folder, files, used, identifier, names, canvas))
    return cases


def _one_case(
    folder: Path,
    files: dict[str, Path],
    used: set[str],
    identifier: str,
    names: list[str],
    canvas: tuple[int, int] | None,
) -> NativeCase:
    paths = [folder / name for name in names]
    prompt, picture = "", None
    for path in paths:
        if is_native(path):
            native = read_native(path)[0]
            prompt, picture = prompt or native.prompt, picture or native.first_frame
    beside = identifier + PROMPT_SUFFIX
    if beside in files:
        used.add(beside)
        text = " ".join(files[beside].read_text(encoding="utf-8-sig", errors="replace").split())
        if prompt or not text:
            problem = "the prompt is given twice" if prompt else "the file is empty"
            raise UserError(f"{files[beside]}: {problem}; allowed: one prompt per case")
        prompt = text
    pictures = [
        f"{identifier}{suffix}" for suffix in first_frame.SUFFIXES if f"{identifier}{suffix}" in files
    ]
    if len(pictures) + (picture is not None and picture.name not in pictures) > 1:
        raise UserError(f"suite folder: case {identifier} has several first frames: {', '.join(pictures)}")
    used.update(pictures)
    picture = folder / pictures[0] if pictures else picture
    parts = [load(path, None if is_native(path) else canvas) for path in paths]
    return NativeCase(identifier, combine(parts), prompt, picture)


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
        if picture is not None and not picture.is_file():
            raise UserError(
                f"{files[PROMPTS_FILE]}:{number}: no such image; got {image}; allowed: a file in {folder}"
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


def _entries(folder: Path, cases: list[NativeCase]) -> list[_Entry]:
    entries: dict[str, _Entry] = {}
    for case in cases:
        identifier = safe_id(case.id)
        # Two names that differ only in case would share a folder on some file systems.
        if identifier.lower() in entries:
            other = entries[identifier.lower()].original_id
            raise UserError(
                f"suite folder: {folder}: cases {other!r} and {case.id!r} need names that differ more"
            )
        entries[identifier.lower()] = _Entry(
            identifier, case.id, case.trajectories, case.prompt, case.first_frame
        )
    return list(entries.values())


def _hash(entries: list[_Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        paths = entry.trajectories
        head = [entry.id, entry.prompt, list(paths.canvas), paths.fps, list(paths.tracks_NT2.shape)]
        digest.update(json.dumps(head, ensure_ascii=False).encode())
        digest.update(np.ascontiguousarray(paths.tracks_NT2, dtype="<f8").tobytes())
        digest.update(np.ascontiguousarray(paths.visible_NT).tobytes())
        if entry.picture is not None:
            digest.update(hashlib.sha256(entry.picture.read_bytes()).digest())
    return digest.hexdigest()
