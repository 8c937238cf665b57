"""Content keys: a stage is skipped only when the hash over everything that can change its result matches."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

SHORT = 10
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_ID = 80


def plain(value: Any) -> Any:
    """Return `value` made of JSON types only.

    Raises:
        TypeError: an object that has no unambiguous JSON form.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(v) for v in items]
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON form")


def canonical(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*parts: Any) -> str:
    """Return the SHA-256 (hex) of the parts in canonical JSON."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def short(full: str) -> str:
    """Return the part of a hash that goes into folder names and tables."""
    return full[:SHORT]


def safe_id(name: str) -> str:
    """Return `name` made safe as a folder name; one that had to change carries a hash, so that it stays unique."""
    cleaned = _UNSAFE.sub("_", name).strip("._")
    if cleaned == name and 0 < len(name) <= _MAX_ID:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{cleaned[: _MAX_ID - 7] or 'case'}-{mark}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def current_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, computed once per process while nothing in `state_of` changes."""
    return _sha256_of(path.resolve(), state_of(path))


@lru_cache(maxsize=65536)
def _sha256_of(path: Path, state: tuple[int, ...]) -> str:
    return file_sha256(path)


def state_of(path: Path) -> tuple[int, ...]:
    """Return size, time of change, inode and the inode's own time of change (nanoseconds).

    The last one cannot be set by a program, so that a file put in the place of one of the same size and time shows.
    """
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns
