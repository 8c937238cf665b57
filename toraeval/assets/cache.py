"""The folder of downloaded files: where it is, what its files hash to, whether the disk can hold more."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toraeval.store import sealed
from toraeval.store.keys import digest, file_sha256, state_of
from toraeval.types import UserError


def cache_dir() -> Path:
    """Return the folder of downloaded files: TORAEVAL_CACHE, or `~/.cache/toraeval`."""
    given = os.environ.get("TORAEVAL_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "toraeval"


def offline() -> bool:
    """Return True if TORAEVAL_OFFLINE forbids downloads."""
    return os.environ.get("TORAEVAL_OFFLINE", "").lower() not in ("", "0", "false", "no")


def files_sha256(files: Iterable[Path]) -> str:
    """Return one hash of several files, by name and content, in the given order."""
    return digest([(file.name, remembered_sha256(file)) for file in files])


def remembered_sha256(file: Path) -> str:
    """Return the SHA-256 (hex) of a file, from memory while nothing in `keys.state_of` changes.

    Hashing an encoder of 20 GB takes a minute; `<cache>/hashes.json` saves that on every start but the first.
    """
    file = file.resolve()
    seen = list(state_of(file))
    memory = cache_dir() / "hashes.json"
    *state, sha256 = (sealed.read_json(memory) or {}).get(str(file)) or [""]
    if state != seen:
        sha256 = file_sha256(file)
        sealed.write_json(memory, {**(sealed.read_json(memory) or {}), str(file): [*seen, sha256]})
    return str(sha256)


def need_disk(folder: Path, num_bytes: int, purpose: str) -> None:
    """Refuse to start what the disk cannot hold.

    Args:
        folder: where it will be written; need not exist yet.
        num_bytes: size of what will be written.
        purpose: for the message.

    Raises:
        UserError: fewer bytes are free.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise UserError(
            f"{purpose} needs {num_bytes / 1e9:.2f} GB, but {place} has {free / 1e9:.2f} GB free; "
            "free space or choose another folder"
        )


def read_notes(file: Path) -> dict[str, Any]:
    """Return the object in one of the cache's own JSON files, empty if there is none yet.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return sealed.require_json(file) or {}
    except sealed.Damaged as damaged:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            notes = json.loads(file.read_bytes())
            # as earlier versions wrote it: entries only, and no checksum or what damage left of one
            if isinstance(notes, dict) and all(isinstance(entry, dict) for entry in notes.values()):
                return notes
        raise UserError(f"{damaged}; run: rm '{file}'") from damaged
