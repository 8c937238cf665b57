"""Where random numbers come from: CPU generators keyed by what they are for, and functions that draw noise.

Upstream draws the posterior of the trajectory picture, then the first latents, then the sampler's noises from one
generator; one `Draw` called in the same order reproduces a seed, and a list of recorded noises a recorded run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[Tensor], Tensor]
"""Returns standard normal noise of the shape, dtype and device of the tensor it is given."""


def keyed_generator(key: str, seed: int, model: str = "tora") -> torch.Generator:
    """Return a CPU generator whose draws depend on model, key and seed only."""
    digest = hashlib.sha256(f"{model}/{key}/{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def initial_noise(key: str, seed: int, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal noise (1, C, T, H, W) keyed by case and seed.

    Time is drawn frame by frame, so that a longer clip starts from the same noise.
    """
    generator = keyed_generator(key, seed)
    _, c, t, h, w = shape
    return torch.stack([torch.randn(1, c, h, w, generator=generator) for _ in range(t)], dim=2)


def seeded_draw(generator: torch.Generator) -> Draw:
    """Return a `Draw` that takes its numbers from `generator`, on the generator's device, in the asked dtype."""

    def draw(like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
        return noise.to(like.device)

    return draw
