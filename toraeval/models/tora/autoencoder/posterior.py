"""The diagonal Gaussian that both autoencoders of Open-Sora v1.2 encode to.

Legend: N any leading axis (B clips, or frames folded into the batch), C latent channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from toraeval.types import UserError

LOGVAR_RANGE = (-30.0, 20.0)

Draw = Callable[[Tensor], Tensor]
"""Returns standard normal noise of the shape, dtype and device of the tensor it is given."""


@dataclass(frozen=True)
class Posterior:
    """Mean and clamped log-variance of latents, [N,C,...] each.

    Source: Open-Sora v1.2.0, `opensora/models/vae/utils.py`, and diffusers' class of the same purpose.
    """

    mean: Tensor
    logvar: Tensor

    @classmethod
    def from_moments(cls, moments: Tensor) -> Posterior:
        """Split [N,2C,...] into mean and log-variance, the latter clamped to -30..20."""
        mean, logvar = moments.chunk(2, dim=1)
        return cls(mean, logvar.clamp(*LOGVAR_RANGE))

    def latents(self, draw: Draw | None) -> Tensor:
        """Return the mode when `draw` is None, else mean + standard deviation * `draw(mean)`."""
        if draw is None:
            return self.mean
        return self.mean + torch.exp(0.5 * self.logvar) * draw(self.mean)


def gaussian(generator: torch.Generator | None) -> Draw:
    """Return a `Draw` that takes its numbers from `generator`, on the generator's device.

    Raises:
        UserError: there is no generator: a sample nobody can repeat is refused.
    """
    if generator is None:
        raise UserError("vae: sample=True needs a generator (torch.Generator with a seed); got None")

    def draw(like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
        return noise.to(like.device)

    return draw
