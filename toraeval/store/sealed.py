"""Stored files that carry the SHA-256 of their own bytes: written whole or not at all, believed only when it fits."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import logging
import os
import re
import secrets
import time
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.store.keys import current_sha256, file_sha256, plain
from toraeval.types import TEMPORARY, UserError

CHECKSUM = "checksum"
"""Last entry of a JSON file: the SHA-256 of every byte before it."""
_TAIL = re.compile(rb'(?s)(?P<head>.*"checksum": ")(?P<sha256>[0-9a-f]{64})"\n}\n')
_COMMENT = b"sha256:"
_COMMENT_LENGTH = len(_COMMENT) + 64
_log = logging.getLogger(__name__)


class Damaged(UserError):
    """A stored file is not what was written."""


def atomic(path: Path, write: Callable[[Path], object], durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk if `durable`, then rename it into place.

    Raises:
        UserError: the disk is full or the place cannot be written; no partial file stays.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            if durable:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
            if durable:
                _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); what is finished is kept: "
            "free space or name another folder, then run the same command again"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; a file that holds it already stays, because flushing to the disk takes long."""
    data = text.encode()
    with contextlib.suppress(OSError):
        if not path.is_symlink() and path.read_bytes() == data:
            return
    atomic(path, lambda temporary: temporary.write_bytes(data))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON with its checksum, atomically; keys stay in the given order."""
    if CHECKSUM in value:
        raise ValueError(f"{path}: {CHECKSUM} is the name of the checksum")
    text = json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    text = text.removesuffix("}").rstrip()
    head = f'{text}{"," if value else ""}\n "{CHECKSUM}": "'
    write_text(path, f'{head}{hashlib.sha256(head.encode()).hexdigest()}"\n}}\n')


def require_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file of `write_json`, or None if there is no file.

    Raises:
        Damaged: the file is not what was written, or has no checksum.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    parts = _TAIL.fullmatch(content)
    if parts is None:
        raise Damaged(f"{path} is damaged, or of a version that wrote no checksums")
    if hashlib.sha256(parts["head"]).hexdigest() != parts["sha256"].decode():
        raise Damaged(f"{path} differs from its checksum")
    value: dict[str, Any] = json.loads(content)
    del value[CHECKSUM]
    return value


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file of `write_json`, or None if it is absent or damaged, which is logged."""
    try:
        return require_json(path)
    except Damaged as error:
        report(error)
        return None


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as .npz, atomically; the checksum is the comment of the zip archive."""
    whole = io.BytesIO()
    np.savez(whole, **arrays)
    # an archive without a comment ends in its length, two bytes
    head = whole.getvalue()[:-2] + _COMMENT_LENGTH.to_bytes(2, "little")
    tail = _COMMENT + hashlib.sha256(head).hexdigest().encode()
    atomic(path, lambda temporary: temporary.write_bytes(head + tail))


def add_tail(path: Path) -> None:
    """Append its checksum to a file whose format lets bytes follow its end."""
    sha256 = file_sha256(path)
    with path.open("ab") as file:
        file.write(_COMMENT + sha256.encode())


def require_tail(path: Path) -> bytes:
    """Return a file whose last bytes are its checksum.

    Raises:
        Damaged: they differ, or it has none.
    """
    content = path.read_bytes()
    head, tail = content[:-_COMMENT_LENGTH], content[-_COMMENT_LENGTH:]
    if not tail.startswith(_COMMENT):
        raise Damaged(f"{path} is damaged, or of a version that wrote no checksums")
    if tail[len(_COMMENT) :] != hashlib.sha256(head).hexdigest().encode():
        raise Damaged(f"{path} differs from its checksum")
    return content


def require_arrays(path: Path, prefix: str = "") -> dict[str, Any] | None:
    """Return the arrays of a file of `write_arrays` whose names begin with `prefix`, without it; None if there is none.

    Raises:
        Damaged: the file is not what was written, has no checksum, or states sizes that it does not hold.
    """
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(require_tail(path)), allow_pickle=False) as stored:
            return {n.removeprefix(prefix): stored[n] for n in stored.files if n.startswith(prefix)}
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror or error})") from error
    except (ValueError, MemoryError, EOFError, zipfile.BadZipFile) as error:
        raise Damaged(f"{path} is not an archive of arrays ({error})") from error


def read_arrays(path: Path, prefix: str = "") -> dict[str, Any] | None:
    """Return what `require_arrays` does, or None if the file is absent or damaged, which is logged."""
    try:
        return require_arrays(path, prefix)
    except Damaged as error:
        report(error)
        return None


def is_whole(path: Path, sha256: str) -> bool:
    """Return True if a file has the hash it was written with; one that is there and differs is logged."""
    try:
        if not path.is_file():
            return False
        if current_sha256(path) == sha256:
            return True
        report(Damaged(f"{path} differs from its checksum"))
    except OSError as error:
        report(Damaged(f"{path} cannot be read ({error.strerror})"))
    return False


def report(error: Damaged) -> None:
    """Log that a stored file is passed over, once per process."""
    _report_once(str(error))


@lru_cache(maxsize=4096)
def _report_once(line: str) -> None:
    _log.warning("%s; not used, made again where it is asked for", line)


def require_no_link(root: Path, folder: Path) -> None:
    """Check that what is written into a folder stays below `root`, which may itself be a link.

    Raises:
        UserError: the folder or one on the way to it is a link.
    """
    place = root
    for part in folder.relative_to(root).parts:
        place /= part
        if place.is_symlink():
            raise UserError(
                f"{place} is a link to {os.readlink(place)}; nothing is written through links inside a results "
                "folder: remove the link, or give another folder with results=DIR"
            )


def sweep(folder: Path, least_age_s: float = 0.0) -> None:
    """Remove temporary files that killed processes left behind.

    Args:
        folder: may be absent.
        least_age_s: files younger than this stay; 0 where a lock keeps every other process away.
    """
    before = time.time() - least_age_s
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if least_age_s == 0 or path.lstat().st_mtime < before:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems cannot sync folders
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
