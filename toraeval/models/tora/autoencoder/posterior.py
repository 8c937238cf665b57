"""The diagonal Gaussian that both autoencoders of Open-Sora v1.2 encode to.

Legend: N any leading axis (B clips, or frames folded into the batch), C latent channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from toraeval.models.shared.noise import Draw

LOGVAR_RANGE = (-30.0, 20.0)


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
