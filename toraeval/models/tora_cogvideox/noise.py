"""Where random numbers come from: a function that draws noise like a tensor, one draw after the other.

Upstream draws the posterior of the trajectory picture, then the first latents, then the sampler's noises from one CPU
generator; the same order here reproduces a seed, and a list of recorded noises reproduces a recorded run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[Tensor], Tensor]
"""Returns standard normal noise of the shape, type and device of its argument."""


def seeded_draw(generator: torch.Generator) -> Draw:
    """Return draws from a CPU generator, in the type of what they are drawn for, as upstream does."""

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)

    return draw


def case_draw(key: str, seed: int) -> Draw:
    """Return draws that depend on a case and a sampling seed alone."""
    digest = hashlib.sha256(f"tora_cogvideox/{key}/{seed}".encode()).digest()
    return seeded_draw(torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1))
