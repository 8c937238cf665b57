"""Which file holds which clip: a folder's files by their names, or a manifest in JSON, JSON lines or CSV."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toraeval.inputs.pairing import fold
from toraeval.inputs.picture_folder import picture_files
from toraeval.inputs.text_files import (
    csv_rows,
    exists,
    is_file,
    is_folder,
    jsonl_rows,
    listed,
    parse_json,
    read_text,
    shown,
)
from toraeval.store.slot import sample_id
from toraeval.types import UserError, be, counted
from toraeval.video import VIDEO_SUFFIXES, has_video_suffix

MANIFESTS = ("manifest.json", "manifest.jsonl", "manifest.csv")
MANIFEST_COLUMNS = ("case", "file", "seed", "label", "notes")
HIDDEN = re.compile(r"(?i)\..*|thumbs\.db|desktop\.ini|__macosx|@eadir|~\$.*")
"""What systems and tools leave in folders: dot files, thumbnails, folder settings, resource forks, office locks."""


@dataclass(frozen=True)
class Listing:
    """Clips by sample id.

    Attributes:
        files: video file, or folder of numbered PNG frames.
        notes: what the manifest says of a clip, where it says anything.
        label: name of the method, or None where nothing states one.
        passed_over: what lies beside the clips and is not one, in words.
    """

    files: Mapping[str, Path]
    notes: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    passed_over: str = ""


def list_clips(place: Path, label: str | None = None) -> Listing:
    """Return the clips of a manifest, of a folder with a manifest, or of a folder of clips named by sample id.

    Args:
        place: file or folder.
        label: of a manifest that holds several methods, the one to take.

    Raises:
        UserError: nothing there, a malformed manifest, files that are absent, or two clips of one sample; the first
            few are named.
    """
    if is_file(place):
        return _from_manifest(place, label)
    if not is_folder(place):
        raise UserError(
            f"model precomputed: {shown(place)} is neither folder nor manifest; give one with "
            "model.videos=PATH (run) or model_options.precomputed.videos=PATH (bench)"
        )
    manifests = [place / name for name in MANIFESTS if (place / name).is_file()]
    if len(manifests) > 1:
        raise UserError(f"{place} has {' and '.join(path.name for path in manifests)}; keep one manifest")
    if manifests:
        return _from_manifest(manifests[0], label)
    found = look_into(place)
    if not found.files:
        raise UserError(
            f"model precomputed: no video in {place}{found.described()}; allowed: {', '.join(VIDEO_SUFFIXES)}, folders "
            f"of numbered pictures, or a manifest ({', '.join(MANIFESTS)})"
        )
    return Listing(found.files, passed_over=found.described("also holds what is not a clip: "))


@dataclass(frozen=True)
class Found:
    """What lies in a folder of clips.

    Attributes:
        files: name without suffix -> video file, or folder of numbered pictures.
        passed_over: what is there beside them, with the reason why it is not a clip.
        hidden: number of files that systems and tools leave behind.
    """

    files: Mapping[str, Path]
    passed_over: Mapping[str, str]
    hidden: int

    def described(self, before: str = " (not a clip: ") -> str:
        """Return what is not a clip in words, with `before` in front; empty where everything is one."""
        words = [f"{name} ({reason})" for name, reason in self.passed_over.items()]
        if self.hidden:
            words.append(counted(self.hidden, "hidden file"))
        if not words:
            return ""
        return f"{before}{listed(words, 5)}" + ")" * before.count("(")


def look_into(folder: Path) -> Found:
    """Return the clips of a folder by name, and everything else in it with the reason why it is not one.

    Raises:
        UserError: two clips of one name, or of names that differ in case only.
    """
    files: dict[str, Path] = {}
    passed_over: dict[str, str] = {}
    hidden = 0
    same: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if HIDDEN.match(path.name):
            hidden += 1
            continue
        reason = _no_clip(path)
        if reason:
            passed_over[path.name] = reason
            continue
        name = path.name if path.is_dir() else path.stem
        twin = same.setdefault(fold(name), path)
        if twin is not path:
            raise UserError(f"{folder}: {twin.name} and {path.name} name the same clip; keep one")
        files[name] = path
    return Found(files, passed_over, hidden)


def _no_clip(path: Path) -> str:
    """Return why something in a folder of clips is not one, or nothing."""
    if path.is_symlink() and not path.exists():
        return "broken link"
    if path.is_dir():
        if picture_files(path):
            return ""
        inside = sum(has_video_suffix(child) for child in path.rglob("*"))
        return (
            f"folder with {counted(inside, 'video')}, score it by itself"
            if inside
            else "folder without clips"
        )
    if not path.is_file():
        return "not a file"
    return "" if has_video_suffix(path) else "not a video"


def _from_manifest(manifest: Path, label: str | None) -> Listing:
    rows = list(_rows(manifest))
    labels = list(dict.fromkeys(row["label"] for row in rows if row["label"]))
    if len(labels) > 1:
        if label not in labels:
            raise UserError(f"{manifest} holds {listed(labels, 5)}; choose one with model.label=NAME")
        rows = [row for row in rows if row["label"] == label]
    if not rows:
        raise UserError(f"{manifest}: names no clip")
    files: dict[str, Path] = {}
    notes: dict[str, str] = {}
    twice: list[str] = []
    for row in rows:
        name = sample_id(row["case"], row["seed"])
        twice += [name] if name in files else []
        files[name] = manifest.parent / row["file"]
        if row["notes"]:
            notes[name] = row["notes"]
    if twice:
        raise UserError(f"{manifest}: names these samples twice: {listed(list(dict.fromkeys(twice)), 5)}")
    names = {name: row["file"] for name, row in zip(files, rows, strict=True)}
    absent = [shown(names[name]) for name, path in files.items() if not exists(path)]
    if absent:
        raise UserError(
            f"{manifest}: {len(absent)} of {counted(len(files), 'file')} {be(len(absent))} not there: "
            f"{listed(absent, 5)}"
        )
    return Listing(files, notes, labels[0] if len(labels) == 1 else label)


def _rows(manifest: Path) -> Iterator[dict[str, Any]]:
    """Yield case, file, seed, label and notes of every line.

    Raises:
        UserError: it cannot be read, or a line is malformed.
    """
    kind = manifest.suffix.lower()
    if kind not in (".json", ".jsonl", ".csv"):
        raise UserError(f"{manifest}: allowed are a folder, or a manifest .json, .jsonl or .csv")
    if kind == ".json":
        for name, file in _mapping(manifest).items():
            yield _row({"case": name, "file": file}, f"{manifest}: {shown(name)}")
        return
    rows: Iterator[tuple[int, Any]] = csv_rows(manifest) if kind == ".csv" else jsonl_rows(manifest)
    for number, line in rows:
        yield _row(line, f"{manifest}:{number}")


def _mapping(manifest: Path) -> dict[str, Any]:
    try:
        value = parse_json(read_text(manifest))
    except ValueError as error:
        raise UserError(
            f"{manifest}: not JSON ({shown(error)}); expected an object {{case id: file name}}"
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            f"{manifest}: expected an object {{case id: file name}}, got {type(value).__name__}; lines of "
            f"{', '.join(MANIFEST_COLUMNS)} go into .jsonl or .csv"
        )
    return value


def _row(line: Any, where: str) -> dict[str, Any]:
    if not isinstance(line, dict) or not line.get("case") or not line.get("file"):
        raise UserError(f"{where}: needs case and file, got {reprlib.repr(line)}")
    stray = [str(key) for key in line if key not in MANIFEST_COLUMNS]
    if stray:
        raise UserError(f"{where}: unknown column {shown(stray[0])}; allowed: {', '.join(MANIFEST_COLUMNS)}")
    wrong = [
        key for key in ("case", "file", "label", "notes") if not isinstance(line.get(key), str | int | None)
    ]
    if wrong:
        raise UserError(f"{where}: {wrong[0]}={reprlib.repr(line[wrong[0]])}; allowed: text")
    seed = line.get("seed")
    try:
        number = 0 if seed in (None, "") else int(str(seed))
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 63:
        raise UserError(f"{where}: seed={shown(seed)}; allowed: whole numbers from 0")
    words = {key: str(line.get(key) or "") for key in ("case", "file", "label", "notes")}
    return {**words, "seed": number}
