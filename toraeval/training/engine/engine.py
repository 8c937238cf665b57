"""The training loop of the full-size model: steps, log, checkpoints, and exact continuation after any kind of stop.

Compute precision is that of `distributed.shard`: bfloat16 from float32 masters, or float32. A step is a function of
the state before it and of its own number, so a run that was killed goes on from its last checkpoint to the same
weights, on the CPU bit for bit.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from toraeval.training.engine import distributed
from toraeval.training.engine.distributed import World
from toraeval.training.engine.ema import MovingAverage
from toraeval.training.engine.log import Log
from toraeval.training.engine.network import GuidedNetwork
from toraeval.training.engine.norms import RunningStatistics
from toraeval.training.recipes.recipe import Batch, Recipe, generator, loss
from toraeval.types import UserError

INTERRUPTED = 130


class BatchSource(Protocol):
    """Where batches come from."""

    def batch(self, step: int, number: int) -> Batch:
        """Return batch `number` of a step; the same arguments give the same batch in every process."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When to save and what to log.

    Attributes:
        save_every: steps between checkpoints.
        keep: checkpoints that stay.
        tensorboard: also write TensorBoard events.
    """

    save_every: int = 500
    keep: int = 2
    tensorboard: bool = False


class Engine:
    """One run: network, optimiser, average and counters.

    Args:
        network: sharded and filled, parameters to train marked by `requires_grad`.
        recipe: options of the training.
        source: batches.
        world: the processes.
        folder: checkpoints and log go there.
        schedule: when to save.

    Raises:
        UserError: the batches of a step cannot be spread evenly over the processes.
    """

    def __init__(
        self,
        network: GuidedNetwork,
        recipe: Recipe,
        source: BatchSource,
        world: World,
        folder: Path,
        schedule: Schedule,
    ) -> None:
        check_spread(recipe, world)
        self.network, self.recipe, self.source, self.world = network.train(), recipe, source, world
        self.folder, self.schedule = folder, schedule
        self.trained: dict[str, nn.Parameter] = {
            name: p for name, p in network.model.named_parameters() if p.requires_grad
        }
        self.average = MovingAverage(self.trained, recipe.average)
        self.optimizer = torch.optim.AdamW(
            self.trained.values(),
            lr=recipe.lr,
            betas=recipe.betas,
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
        )
        self.statistics = RunningStatistics(network)
        self.step, self.clips, self.seconds = 0, 0, 0.0

    @property
    def checkpoint_folder(self) -> Path:
        """Where the checkpoints lie."""
        return self.folder / "checkpoints"

    def state(self) -> dict[str, Any]:
        """Return everything a later step depends on, as nested dicts of tensors that share memory with the run."""
        optimizer: dict[str, dict[str, Tensor]] = {}
        for name, p in self.trained.items():
            moments = self.optimizer.state[p]
            if not moments:  # what AdamW itself begins with
                moments.update(
                    step=torch.zeros(()), exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p)
                )
            optimizer[name] = moments
        return {
            "model": dict(self.network.model.state_dict()),
            "average": self.average.values,
            "optimizer": optimizer,
            "counters": {
                "clips": torch.tensor(self.clips),
                "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            },
        }

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        distributed.save(self.checkpoint_folder, self.step, self.state(), self.world, self.schedule.keep)

    def resume(self, step: int, path: Path) -> None:
        """Go back to a checkpoint.

        Args:
            step: steps that it has behind it.
            path: its folder; the number of processes that wrote it does not matter.

        Raises:
            UserError: it cannot be read, or is of another network.
        """
        state = self.state()
        distributed.load(path, state)
        self.step = step
        self.clips = int(state["counters"]["clips"])
        self.seconds = float(state["counters"]["seconds"])

    def run(self, report: Callable[[dict[str, Any]], None] = lambda row: None) -> int:
        """Train to the last step; Ctrl-C or SIGTERM ends after the current step, with a checkpoint.

        Args:
            report: gets each row of the log in the first process.

        Returns:
            0 when all steps are made, 130 when it was interrupted.

        Raises:
            UserError: the loss or gradient is not finite; the last checkpoint is kept.
        """
        log = Log(self.folder, self.step, self.schedule.tensorboard) if self.world.first else None
        try:
            with interruption() as asked:
                return self._loop(log, report, asked)
        finally:
            if log is not None:
                log.close()

    def _loop(self, log: Log | None, report: Callable[[dict[str, Any]], None], asked: list[int]) -> int:
        while self.step < self.recipe.steps:
            began = time.perf_counter()
            row = self._update(self.step)
            self.step += 1
            self.seconds += time.perf_counter() - began
            if log is not None:
                row["seconds"] = f"{self.seconds:.1f}"
                log.write(row)
                report(row)
            stop = self.world.any(bool(asked))
            if stop or self.step % self.schedule.save_every == 0 or self.step == self.recipe.steps:
                self.save()
            if stop:
                return INTERRUPTED
        return 0

    def _update(self, step: int) -> dict[str, Any]:
        """Make one step and return its row of the log."""
        recipe, world = self.recipe, self.world
        if recipe.stage_begins(step):
            self.optimizer.state.clear()
        rate = recipe.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        share = recipe.batches_per_step // world.size
        total, clips, sizes = 0.0, 0, []
        with self.statistics.step(recipe.batches_per_step):
            for number in range(world.rank, recipe.batches_per_step, world.size):
                batch = self.source.batch(step, number)
                with self.statistics.batch():
                    value = loss(self.network, batch, recipe, generator(recipe.seed, "loss", step, number))
                    (value / share).backward()
                total += float(value.detach())
                clips += len(batch)
                sizes.append(f"{len(batch)}x{batch.frames}x{batch.height}x{batch.width}")
        mean = world.mean(total / share)
        norm = distributed.clip_gradients(self.trained.values(), recipe.clip)
        if not (math.isfinite(mean) and math.isfinite(norm)):
            raise UserError(
                f"train: step {step} has loss {mean} and gradient norm {norm}; allowed: finite numbers; the last "
                "checkpoint is kept; look at the clips of this step, or try precision=fp32 or a smaller lr"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.trained)
        self.clips += round(world.mean(clips) * world.size)
        return {
            "step": step + 1,
            "stage": recipe.stage(step),
            "loss": mean,
            "grad_norm": norm,
            "lr": rate,
            "clips": self.clips,
            "size": sizes[0],
        }


def check_spread(recipe: Recipe, world: World) -> None:
    """Refuse a number of processes that does not divide the batches of a step.

    Raises:
        UserError: names the next allowed value.
    """
    if recipe.batches_per_step % world.size:
        fitting = -(-recipe.batches_per_step // world.size) * world.size
        raise UserError(
            f"train: batches_per_step={recipe.batches_per_step} with {world.size} processes; allowed: a multiple of "
            f"the number of processes, e.g. batches_per_step={fitting}"
        )


@contextmanager
def interruption() -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into an entry of the yielded list; a second Ctrl-C interrupts at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
