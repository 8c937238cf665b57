"""What a training is made of, as the engine sees it: recipe, source of batches, objective; and how far a run is."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
Row = dict[str, Any]


@dataclass
class Counters:
    """How far a run is: steps made, clips seen by all processes, seconds spent on steps by the first one."""

    step: int = 0
    clips: int = 0
    seconds: float = 0.0

    def row(self) -> Row:
        """Return how rows of a log begin."""
        return {"step": self.step, "clips": self.clips, "seconds": round(self.seconds)}


@dataclass(frozen=True)
class Schedule:
    """Where a run writes, and when; nothing of it changes the weights."""

    folder: Path  # gets checkpoints and logs
    save_every: int | None = None  # steps between checkpoints; None counts minutes only
    save_minutes: float | None = None  # minutes between checkpoints; None counts steps only
    keep: int = 1  # checkpoints that stay
    tensorboard: bool = False  # also write TensorBoard events
    clock: str = "wall"  # what seconds are counted by, a key of `CLOCKS`


class Recipe(ABC):
    """The values that decide a training."""

    seed: int  # of weights and draws
    clip: float  # largest norm of the gradient
    batches_per_step: int = 1  # batches whose gradients are averaged, spread over the processes
    log_every: int = 1  # steps between rows of the log
    # part of the training between two measurements on held-out clips; None measures nothing
    validation_share: float | None = None

    @abstractmethod
    def progress(self, done: Counters) -> float:
        """Return the share of the training that is behind it; it ends at 1."""

    @abstractmethod
    def learning_rate(self, base: float, done: Counters) -> float:
        """Return the rate of the next step, `base` being that of the optimiser."""

    def stage_begins(self, step: int) -> bool:
        """Whether the optimisers start from scratch with this step."""
        return False

    def decay(self, step: int) -> float | None:
        """Return the share of the moving average that stays at a step; None for a training without average."""
        return min(0.998, (1 + step) / (10 + step))

    @abstractmethod
    def row(self, done: Counters, loss: float, norm: float, facts: Sequence[Mapping[str, Any]]) -> Row:
        """Return a row of the log.

        Args:
            done: after the step.
            loss: mean since the row before.
            norm: of the last gradient, before clipping.
            facts: of each batch since then, as `Objective.loss` returned them.
        """


class Source(ABC):
    """Where batches come from."""

    def begin(self, done: Counters) -> None:  # noqa: B027, most sources need not know
        """Learn how far the run is, now and (the object is updated) later."""

    @abstractmethod
    def batch(self, step: int, number: int) -> Any:
        """Return batch `number` of a step, whose `len` is its clips; the same in every process and after any stop."""

    def close(self) -> None:  # noqa: B027, most sources read nothing ahead
        """Stop reading ahead."""


class Objective(ABC):
    """What is trained: a network, its optimisers and its loss."""

    model: nn.Module  # holds every trained and saved tensor
    joint_statistics = False  # batch norms follow the mean of all batches of a step, in all processes
    measures: tuple[str, ...] = ()  # names of what `validate` returns

    @abstractmethod
    def optimizers(self) -> list[Optimizer]:
        """Return optimisers at their highest rates."""

    @abstractmethod
    def loss(self, batch: Any, step: int, number: int) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the mean loss of a batch, and facts for the log."""

    def averaged(self) -> Mapping[str, Tensor]:
        """Return the tensors that the moving average follows."""
        return {name: value for name, value in self.model.state_dict().items() if value.is_floating_point()}

    def clipped(self) -> Sequence[nn.Parameter]:
        """Return the weights whose gradients are clipped together."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def validate(self) -> Mapping[str, float]:
        """Measure on held-out clips, in the first process only; see `measures`."""
        return {}


def draws(*key: object) -> torch.Generator:
    """Return a CPU generator that depends on the key alone.

    Draws keyed by seed, step and batch need no random state that a resumed run could lack, and none that depends on the
    number of processes.
    """
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
