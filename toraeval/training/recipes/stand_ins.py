"""Random stand-ins for published parts, so that a run can be tried, tested and timed where these are absent.

They are used on request only (`vae=random`, `text_encoder=random`, `start=random`), and the model card says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toraeval.models.tora.autoencoder.spatial import SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAEConfig
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.models.tora.checkpoints.parts import RANDOM
from toraeval.training.engine.parts import draws


def random_vae(seed: int) -> OpenSoraVAE:
    """Return a small autoencoder of the published kind with random weights, in eval mode, gradients off."""
    config = OpenSoraVAEConfig(
        spatial=SpatialVAEConfig(block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2),
        temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return OpenSoraVAE(config).eval().requires_grad_(False)


class RandomCaptions:
    """Features that depend on the caption's words only.

    Args:
        channels: width of the features.
        max_length: tokens per caption.
        device: where the features go.
    """

    def __init__(self, channels: int, max_length: int, device: torch.device) -> None:
        self.channels, self.max_length, self.device = channels, max_length, device

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return (features float32 [B,1,L,D], mask int64 [B,L])."""
        features = torch.zeros(len(prompts), 1, self.max_length, self.channels)
        mask = torch.zeros(len(prompts), self.max_length, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            words = prompt.split()[: self.max_length] or [""]
            mask[row, : len(words)] = 1
            for place, word in enumerate(words):
                features[row, 0, place] = torch.randn(self.channels, generator=draws("word", word))
        return features.to(self.device), mask.to(self.device)

    def release(self) -> None:
        """There is no encoder to give back."""

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the features."""
        return {"text_encoder": RANDOM, "channels": self.channels, "max_length": self.max_length}
