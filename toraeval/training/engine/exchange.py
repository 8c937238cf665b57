"""Worker processes that train together on one machine: shared gradients, one clock, and a stop that loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.multiprocessing.spawn import ProcessExitedException, spawn

from toraeval.types import UserError


class Exchange:
    """Averages gradients of the workers through shared memory, in the same order on each of them.

    Args:
        workers: number of processes.
        size: number of gradient entries.
    """

    def __init__(self, workers: int, size: int) -> None:
        context = torch.multiprocessing.get_context("spawn")
        # two buffers in turn: a worker may write the next step while another still reads this one
        self.buffers = torch.zeros(2, workers, size).share_memory_()
        self.parent = os.getpid()
        self.clips = torch.zeros(workers, dtype=torch.int64).share_memory_()
        self.seconds = torch.zeros(1, dtype=torch.float64).share_memory_()
        # what the parent asks for, what worker 0 decided
        self.stop = torch.zeros(2, dtype=torch.bool).share_memory_()
        self.barrier = context.Barrier(workers)

    def average(self, parameters: list[nn.Parameter], rank: int, step: int) -> None:
        """Replace the gradients by their mean over the workers."""
        mine = self.buffers[step % 2, rank]
        torch.cat([p.grad.flatten() for p in parameters if p.grad is not None], out=mine)
        self.barrier.wait()
        mean = self.buffers[step % 2].mean(0)
        place = 0
        for p in parameters:
            if p.grad is not None:
                p.grad.copy_(mean[place : place + p.numel()].view_as(p))
                place += p.numel()

    def agree(self, rank: int, clips: int, seconds: float) -> tuple[int, float, bool]:
        """Return the clips of all workers, worker 0's clock and whether to stop now, the same on every worker.

        Workers whose parent was killed would go on for hours unseen, so they stop too.

        Args:
            rank: number of this worker.
            clips: how many it took in this step.
            seconds: its clock.
        """
        self.clips[rank] = clips
        if rank == 0:
            self.seconds[0] = seconds
            self.stop[1] = bool(self.stop[0]) or os.getppid() != self.parent
        self.barrier.wait()
        # read before anyone writes again: the gradients of the next step are waited for in between
        return int(self.clips.sum()), float(self.seconds[0]), bool(self.stop[1])


def run_workers(work: Callable[..., None], config: object, workers: int, exchange: Exchange) -> None:
    """Run `work(rank, config, exchange)` in so many processes.

    Ctrl-C lets the step that runs finish and the state be saved.

    Raises:
        UserError: a worker stopped with an error.
        KeyboardInterrupt: after the workers have saved.
    """
    context = spawn(work, args=(config, exchange), nprocs=workers, join=False)
    interrupted = False
    while True:
        try:
            if context.join():
                break
        except KeyboardInterrupt:
            interrupted = True
            exchange.stop[0] = True
        except ProcessExitedException as error:
            raise UserError(
                "train: a worker stopped, its message stands above; the saved state is kept"
            ) from error
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def finish_step_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C call `stop` while the block runs, and raise KeyboardInterrupt at its end."""
    hits: list[int] = []

    def note(number: int, frame: object) -> None:
        hits.append(number)
        stop()

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if hits:
        raise KeyboardInterrupt


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
