"""What moves with the weights without being trained: their average, and the running statistics of batch norms.

Both depend neither on the order of the batches of a step nor on which process computed them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from toraeval.training.engine.distributed import local


class MovingAverage:
    """average <- decay * average + (1 - decay) * weights, after each step.

    Args:
        weights: float tensors by name; the average starts as their copy.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.values = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], decay: float) -> None:
        """Take in the weights after a step, keeping a share `decay` in [0, 1]; no process talks to another."""
        mine = [local(value) for value in self.values.values()]
        theirs = [local(weights[name].detach()) for name in self.values]
        torch._foreach_lerp_(mine, theirs, 1 - decay)


class RunningStatistics:
    """Moves the running statistics once per step, by the mean over all batches of the step.

    Left alone, each process would follow its own batches, and two small batches in a row would move the statistics
    further than the same two in two processes.

    Args:
        model: its batch norms are found once.
        momentum of the norms stays what it is: with one batch per step this is ordinary batch norm.
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        self._moving = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
        self._counts = [m.num_batches_tracked for m in norms if m.num_batches_tracked is not None]

    @contextmanager
    def step(self, batches: int) -> Iterator[None]:
        """Collect what the forward passes inside do to the statistics, and apply their mean at the end.

        Args:
            batches: batches of this step over all processes.
        """
        before = [b.clone() for b in self._moving]
        self._sums: list[Tensor] = [torch.zeros_like(b, dtype=torch.float64) for b in self._moving]
        counts = [c.clone() for c in self._counts]
        yield
        if not self._moving:
            return
        joined = torch.cat([s.flatten() for s in self._sums])
        dist.all_reduce(joined)
        for buffer, old, change in zip(
            self._moving, before, joined.split([b.numel() for b in before]), strict=True
        ):
            buffer.copy_(old + (change / batches).to(old.dtype))
        for count, old_count in zip(self._counts, counts, strict=True):
            count.copy_(old_count + 1)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Note the change that one forward pass makes and take it back, after its backward pass."""
        before = [b.clone() for b in self._moving]
        yield
        for buffer, old, total in zip(self._moving, before, self._sums, strict=True):
            total += buffer - old
            buffer.copy_(old)
