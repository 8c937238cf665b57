"""The folder of downloaded files: where it is, what its files hash to, whether the disk can hold more."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toraeval import store
from toraeval.keys import digest, file_sha256
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
    """Return the SHA-256 (hex) of a file, from memory while its size and time of change are the same.

    Hashing an encoder of 20 GB takes a minute; `<cache>/hashes.json` spares it on every start but the first.
    """
    file = file.resolve()
    stat = file.stat()
    seen = [stat.st_size, stat.st_mtime_ns]
    memory = cache_dir() / "hashes.json"
    known = read_notes(memory)
    if known.get(str(file), [])[:2] != seen:
        known = {**read_notes(memory), str(file): [*seen, file_sha256(file)]}
        store.write_json(memory, known)
    return str(known[str(file)][2])


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
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}); run: rm '{file}'") from error
