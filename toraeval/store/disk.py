"""The disk that results go to: is it writable, is there room, how much is used."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from toraeval.types import UserError

FULL = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full",
    errno.EFBIG: "takes no larger file (ulimit -f, or a limit of the file system)",
}
"""What a disk is that takes nothing more, by the number of the error."""


def full(error: BaseException | None) -> str:
    """Return in words why the disk takes nothing more, if the error or one it came from says so; else nothing."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return FULL[error.errno]
        error = error.__cause__ or error.__context__
    return ""


def require_writable(folder: Path, option: str = "results") -> None:
    """Create `folder` and write a byte into it.

    Args:
        folder: to be created and tried.
        option: that names it, for the message.

    Raises:
        UserError: the folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # without a name, so that nobody can sweep it away
            probe.write(b"x")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); give another folder with {option}=DIR"
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
    """Return the bytes of all files below `folder`; those that another process removes meanwhile count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def megabytes(count: float) -> str:
    """Return a byte count for people."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
