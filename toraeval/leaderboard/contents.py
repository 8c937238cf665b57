"""What a submission may hold: the files of runs and nothing else, no code, no links, no paths of a machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toraeval.store.slot import (
    FAILURE,
    PREVIEW,
    SCORE,
    SCORE_ARRAYS,
    SET_SCORES,
    TRACEBACK,
    TRACKS,
    VIDEO,
    VIDEO_META,
)
from toraeval.store.tables.run import CASES, DEFINITIONS, RECORD, SKIPS, TIMINGS
from toraeval.types import TEMPORARY

OF_RUN = (RECORD, CASES, SKIPS, TIMINGS, DEFINITIONS, SET_SCORES)
OF_SAMPLE = (VIDEO_META, TRACKS, SCORE, SCORE_ARRAYS, PREVIEW)
"""What is taken along of a sample; the lossless video is not."""
TOLERATED = (VIDEO, FAILURE, TRACEBACK)
PAGES = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md")
LOCK = ".lock"
_PATH = re.compile(
    r"(?<![\w./:~)\]>])(?:/|~[\w.-]*/)(?:[\w.@+%-]+/)+[\w.@+%-]*"  # /home/ann/x, ~/x/y
    r"|(?<==)/[\w.-]+"  # results=/x
    r"|^/[\w.-]+$"
    r"|(?<![A-Za-z])[A-Za-z]:\\[^\s\"']+"
    r"|(?<!\\)\\\\[\w.-]+\\[\w.-]+"
)


def run_folders(folder: Path) -> list[Path]:
    """Return every run folder in or below a folder, in the order of their names; links are not followed."""
    found = []
    for root, folders, files in os.walk(folder):
        if RECORD in files and "cases" in folders:
            found.append(Path(root))
            folders.clear()
        folders[:] = sorted(name for name in folders if not (Path(root) / name).is_symlink())
    return sorted(found)


def stray(folder: Path) -> Iterator[str]:
    """Yield what a submission must not hold: links, and files that are not part of a run."""
    runs = set(run_folders(folder))
    for root, folders, files in os.walk(folder):
        here = Path(root)
        for name in sorted((*folders, *files)):
            path = here / name
            where = path.relative_to(folder)
            if path.is_symlink():
                yield f"{where} is a link to {os.readlink(path)}: put the files themselves there"
            elif name in files and not _allowed(path, folder, runs):
                yield f"{where} is not part of a result: remove it (a submission holds no code and no pages)"
            elif name in files and os.stat(path).st_mode & 0o111:
                yield f"{where} is marked as a program: chmod -x"


def _allowed(path: Path, folder: Path, runs: set[Path]) -> bool:
    if path.name == LOCK and path.stat().st_size < 4096:
        return True
    if path.parent == folder and folder not in runs:
        return path.name in PAGES
    if path.parent in runs:
        return path.name in OF_RUN
    of_sample = path.parent.parent.name == "cases" and path.parent.parent.parent in runs
    return of_sample and path.name in (*OF_SAMPLE, *TOLERATED) and not path.name.startswith(TEMPORARY)


def is_folder_name(name: str) -> bool:
    """Return True if a sample's id leads to a folder below `cases` and nowhere else."""
    return name not in ("", ".", "..") and "/" not in name and "\\" not in name and "\0" not in name


def machine_paths(path: Path) -> list[str]:
    """Return the absolute paths that the text of a JSON or CSV file names; anything else has none."""
    if path.suffix == ".json":
        try:
            texts = _texts(json.loads(path.read_bytes()))
        except (ValueError, RecursionError):
            return []  # its checksum says so already
    elif path.suffix == ".csv":
        texts = iter(re.split(r'[,"\n]', path.read_text(encoding="utf-8", errors="replace")))
    else:
        return []
    return list(dict.fromkeys(found for text in texts for found in paths_in(text)))


def paths_in(text: str) -> list[str]:
    """Return the absolute paths in a text: `/home/ann/clips`, `results=/tmp`, `C:\\clips`; URLs are not paths."""
    return [found[0] for found in _PATH.finditer(text)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
