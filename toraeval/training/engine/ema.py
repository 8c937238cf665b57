"""Exponential moving average of the trained weights, kept in the shards of the weights themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

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
