"""Progress on stderr: a bar with the time left, and one line per failure."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm

from toraeval.run.pipeline import Progress
from toraeval.run.sample import Outcome


class Bar(Progress):
    """A bar over frames, because a long clip takes longer than a short one.

    Args:
        total_frames: of everything to be done, or None to take it from each run in turn.
    """

    def __init__(self, total_frames: int | None = None) -> None:
        self._overall = total_frames is not None
        self._bar: tqdm[Any] | None = None
        if total_frames:
            self._bar = self._open(total_frames)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def start(self, label: str, samples: int, frames: int, cached: int) -> None:
        if not self._overall:
            if self._bar is not None:
                self._bar.close()
            self._bar = self._open(frames) if samples else None
        if self._bar is not None and samples:
            self._bar.set_description(f"{label} ({samples} to do, {cached} cached)")

    def advance(self, outcome: Outcome) -> None:
        if outcome.failed:
            self.note(f"failed: {outcome.sample}: {outcome.error}")
        if self._bar is not None:
            self._bar.update(outcome.frames)

    def note(self, message: str) -> None:
        tqdm.write(message, file=sys.stderr)

    def _open(self, total: int) -> tqdm[Any]:
        # In a log file a line every few seconds is enough.
        interval = 0.1 if sys.stderr.isatty() else 5.0
        return tqdm(total=total, unit="frame", file=sys.stderr, mininterval=interval, maxinterval=10.0)
