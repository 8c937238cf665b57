"""What a piece of code writes, starts or executes, by the interpreter's audit events; C libraries are not seen."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

STARTS = frozenset(
    (
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "os.forkpty",
        "subprocess.Popen",
        "pty.spawn",
        "socket.connect",
    )
)
CHANGES = frozenset(
    (
        "os.mkdir",
        "os.remove",
        "os.rmdir",
        "os.rename",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.chmod",
        "shutil.rmtree",
    )
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SLOW_S = 10


class Slow(BaseException):
    """Something took longer than it may."""


class Watched:
    """Events that were seen since they were last taken.

    Args:
        folder: the only one that may be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        self._on = True
        self._seen: list[str] = []
        sys.addaudithook(self._heard)  # stays until the process ends

    def taken(self) -> list[str]:
        """Return what was seen, and forget it."""
        seen, self._seen = self._seen, []
        return seen

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Don't watch what a test does itself."""
        before, self._on = self._on, False
        try:
            yield
        finally:
            self._on = before

    def end(self) -> None:
        """See nothing any more."""
        self._on = False

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event in STARTS:
            self._seen.append(f"{event} {arguments}")
        elif self._changes(event, arguments) and not self._is_inside(arguments[0]):
            self._seen.append(f"{event} {arguments[0]!r}")

    def _changes(self, event: str, arguments: tuple[Any, ...]) -> bool:
        return event in CHANGES or (event == "open" and _writes(*arguments))

    def _is_inside(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a descriptor, which was opened before
        place = os.path.realpath(os.fsdecode(path))
        compiled = f"{os.sep}__pycache__" in place
        return compiled or place in (self._folder, os.devnull) or place.startswith(self._folder + os.sep)


def _writes(path: Any, mode: str | None, flags: int) -> bool:
    return bool(flags & WRITING) if isinstance(flags, int) else bool(mode) and bool(set(mode) & set("wax+"))


@contextmanager
def watching(folder: Path) -> Iterator[Watched]:
    """Watch what this process starts, and writes outside a folder."""
    seen = Watched(folder)
    try:
        yield seen
    finally:
        seen.end()


@contextmanager
def hurried(limit_s: int = SLOW_S) -> Iterator[None]:
    """Raise `Slow` in a block that takes longer, in seconds of the processor: other processes don't count."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Slow(f"longer than {limit_s} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
