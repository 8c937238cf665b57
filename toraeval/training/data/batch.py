"""What a step of a video model trains on, and how the next batches are read while the network computes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar

from torch import Tensor

Read = TypeVar("Read")


@dataclass(frozen=True)
class Batch:
    """Clips of one size, with what the network is given of them."""

    latents_BCTHW: Tensor  # float32 or, as they are stored, float16
    # what the network reads of the paths, clips first, in the order of axes that it wants; None for no path
    motion: Tensor | None
    text: Tensor  # caption features (B, 1, L, C), or numbers of words int64 (B, L)
    # of the clips, in frames and pixels; of the whole picture where windows are cut out
    frames: int
    height: int
    width: int
    fps: Tensor  # float32 frames per second (B,), or (1,) for all
    text_mask_BL: Tensor | None = None  # int64, nonzero keeps a token; None keeps all
    origins_B2: Tensor | None = None  # first token of each clip's window; None for whole pictures
    whole: tuple[int, int] = (0, 0)  # token rows and columns of the whole picture; given with windows

    def __len__(self) -> int:
        return self.latents_BCTHW.shape[0]

    def first(self, clips: int) -> Batch:
        """Return the batch without what comes after the first N clips, N >= 1."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        kept: dict[str, Any] = {name: v[:clips] for name, v in given.items() if isinstance(v, Tensor)}
        return replace(self, **kept)


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
