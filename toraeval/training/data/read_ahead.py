"""Reads the next batches in a thread while the network computes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Read = TypeVar("Read")


class ReadAhead(Generic[Read]):
    """What a process reads for its batches, in their order.

    Args:
        read: reads for batch `number` of a step; it is called in one thread, for one batch after the other.
        place: (rank, size) of this process among those of the run.
        batches: of a step over all processes.
        ahead: how many are read before they are wanted.
        steps: of the run, beyond which nothing is read; None where that is not known.
    """

    def __init__(
        self,
        read: Callable[[int, int], Read],
        place: tuple[int, int],
        batches: int,
        ahead: int,
        steps: int | None = None,
    ) -> None:
        self._function, self._place, self._batches, self._ahead = read, place, batches, ahead
        self._steps = steps
        # one thread: estimators of flow keep buffers of their own, and draws follow one another
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._read: dict[tuple[int, int], Future[Read]] = {}

    def take(self, step: int, number: int) -> Read:
        """Return what was read for a batch; raises whatever reading it raised."""
        place = (step, number)
        for _ in range(1 + self._ahead):
            if (self._steps is None or place[0] < self._steps) and place not in self._read:
                self._read[place] = self._thread.submit(self._function, *place)
            place = self._after(*place)
        return self._read.pop((step, number)).result()

    def close(self) -> None:
        """Stop reading ahead and drop what was read."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _after(self, step: int, number: int) -> tuple[int, int]:
        number += self._place[1]
        return (step, number) if number < self._batches else (step + 1, self._place[0])
