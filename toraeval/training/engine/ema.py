"""Exponential moving average of the trained weights, kept in the shards of the weights themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from toraeval.training.engine.distributed import local


class MovingAverage:
    """average <- decay * average + (1 - decay) * weights, after each step.

    Args:
        weights: trained weights by name; the average starts as their copy.
        decay: share that stays, in [0, 1); Open-Sora v1.2 takes 0.99.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.values = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor]) -> None:
        """Take in the weights after a step; no process talks to another."""
        mine = [local(value) for value in self.values.values()]
        theirs = [local(weights[name].detach()) for name in self.values]
        torch._foreach_lerp_(mine, theirs, 1 - self.decay)
