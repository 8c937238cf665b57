"""One process per run folder: a lock that the operating system releases when its holder dies."""

from __future__ import annotations

import errno
import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from toraeval.types import UserError

POLL_S = 0.5


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.read_text())
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _try(lock: FileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        # A file system without locks: writes are atomic all the same, so only work may be done twice.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise UserError(
                f"{lock.lock_file} cannot be opened ({error.strerror}); remove it, or give another folder"
            ) from error
    return True


@contextmanager
def hold(
    folder: Path, wait_s: float | None = 0.0, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold `folder/.lock` for the duration of the block.

    The operating system owns the lock, so a file left behind by a killed process never blocks anybody.

    Args:
        folder: an existing folder.
        wait_s: how long to wait for another holder, in seconds; None is as long as it lives.
        waiting: called once with who is being waited for.

    Raises:
        UserError: another process still holds the lock after `wait_s`.
    """
    path = folder / ".lock"
    lock = FileLock(path)
    deadline = math.inf if wait_s is None else time.monotonic() + wait_s
    told = False
    try:
        while not _try(lock):
            if time.monotonic() >= deadline:
                raise UserError(
                    f"{folder}: {_holder(path)} is working in this run folder; "
                    "wait until it is done, or give another folder with results=DIR"
                )
            if waiting and not told:
                waiting(f"{folder}: waiting for {_holder(path)}")
                told = True
            time.sleep(POLL_S)
        facts = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        with suppress(OSError):  # only words for whoever waits; the disk may be full
            path.write_text(json.dumps(facts))
        yield
    finally:
        lock.release()
