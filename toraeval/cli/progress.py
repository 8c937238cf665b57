"""Progress on stderr: a bar in a terminal, a line now and then elsewhere, and one line per failure."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from tqdm import tqdm

from toraeval.report.texts import printable
from toraeval.run.ending import Progress
from toraeval.run.outcome import Outcome

EVERY_S = 30.0


class ProgressBar(Progress, AbstractContextManager["ProgressBar"]):
    """Progress over frames, because a long clip takes longer than a short one.

    A terminal gets a bar; a file or a pipe gets a line when the work starts, every `EVERY_S` seconds, and at the end.
    """

    _bar: tqdm[Any] | _Lines | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def start(self, label: str, samples: int, frames: int, cached: int) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = opened(frames, "frame") if samples else None
        if self._bar is not None:
            self._bar.set_description(f"{printable(label)} ({samples} to do, {cached} cached)")

    def advance(self, outcome: Outcome) -> None:
        if outcome.failed:
            self.note(f"failed: {printable(outcome.sample)}: {printable(str(outcome.error), None)}")
        if self._bar is not None:
            self._bar.update(outcome.frames)

    def note(self, message: str) -> None:
        tqdm.write(message, file=sys.stderr)


class _Lines:
    """What `tqdm` does, as lines of a log.

    Args:
        total: of everything to be done.
        unit: what is counted.
    """

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit, self._done, self._label = total, unit, 0, ""
        self._start = self._told = time.monotonic()

    def set_description(self, label: str) -> None:
        if label != self._label:
            self._label = label
            self._tell()

    def update(self, count: int = 1) -> None:
        self._done += count
        if time.monotonic() - self._told >= EVERY_S:
            self._tell()

    def close(self) -> None:
        if self._done:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        spent = self._told - self._start
        share = f"{self._label + ': ' if self._label else ''}{self._done}/{self._total} {self._unit}s"
        left = f", about {spent / self._done * (self._total - self._done):.0f} s left" if self._done else ""
        print(f"{share} after {spent:.0f} s{left}", file=sys.stderr, flush=True)


def opened(total: int, unit: str) -> tqdm[Any] | _Lines:
    """Return a bar where stderr is a terminal, else what writes a line now and then."""
    if sys.stderr.isatty():
        return tqdm(total=total, unit=unit, file=sys.stderr, mininterval=0.1, maxinterval=10.0)
    return _Lines(total, unit)
