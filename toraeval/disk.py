"""The disk that results go to: is it writable, is there room, how much is used."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from toraeval.types import UserError
from toraeval.videoio import TEMPORARY


def is_disk_full(error: BaseException | None) -> bool:
    """Return True if the error, or one it came from, says that the disk (or the quota) is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def require_writable(folder: Path) -> None:
    """Create `folder` and write a byte into it.

    Raises:
        UserError: the folder cannot be created or written.
    """
    probe = folder / f"{TEMPORARY}{os.getpid()}-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        raise UserError(
            f"results folder {folder} cannot be written ({error.strerror}); give another one with results=DIR"
        ) from error


def require_space(folder: Path, needed_bytes: int) -> None:
    """Check that the disk holds what a run is about to write.

    Raises:
        UserError: less is free than estimated.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise UserError(
            f"results folder {folder}: about {megabytes(needed_bytes)} are needed, {megabytes(free)} are free; "
            "free some space, keep less (keep=none), or give another folder with results=DIR"
        )


def disk_use(folder: Path) -> int:
    """Return the bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def megabytes(count: float) -> str:
    """Return a byte count for people."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
