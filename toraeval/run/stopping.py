"""A clean stop on SIGTERM, as schedulers send it before they take a machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end; as after Ctrl-C, what is finished is kept."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def stop_signals() -> Iterator[None]:
    """Let the first SIGTERM end the block by an exception and ignore further ones; other threads leave it alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
