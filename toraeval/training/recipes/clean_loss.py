"""The loss that all embedded models are trained and validated with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.training.data.batch import Batch
from toraeval.training.recipes.learners import Learner


class CleanLoss:
    """Clean-latent error of rectified flow; latent frame 0 is given clean and left out.

    The channels are weighed by the variance of their component of the autoencoder to the power `channel_power`.
    """

    def __init__(
        self,
        learner: Learner,
        vae: LinearPatchAutoencoder,
        flow: FlowConfig,
        channel_power: float,
        device: str = "cpu",
    ) -> None:
        self.learner, self.vae, self.device = learner, vae, torch.device(device)
        self.flow = RectifiedFlow(flow)
        weights = vae.scale.square() ** channel_power
        self.channel_weights = (weights / weights.mean()).to(self.device)

    def losses(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, text_dropout: float
    ) -> Tensor:
        """Return the loss of each clip, float32 (B,), >= 0.

        Times, noise and the share of dropped captions are drawn on the CPU or where the network is.
        """
        x0 = batch.latents_BCTHW.to(self.device).float()
        size = ClipSize(float(batch.height), float(batch.width), float(batch.frames))
        b, _, t = x0.shape[:3]
        times = self.flow.sample_times(b, size, generator).to(self.device)
        noise = torch.randn(x0.shape, generator=generator, device=generator.device).to(self.device)
        mask = torch.ones(b, t, dtype=torch.bool, device=self.device)
        mask[:, 0] = False
        with torch.autocast(self.device.type, torch.bfloat16):
            chances = torch.rand(b, generator=generator, device=generator.device).to(self.device)
            dropped = chances < text_dropout
            denoise = self.learner.denoiser(model, batch, dropped, x0[:, :, :1])
            return self.flow.loss(denoise, x0, times, noise, mask, self.channel_weights)

    def one_step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Sample clips in one step from pure noise, float32 (B, C, t, h, w)."""
        x0 = batch.latents_BCTHW.to(self.device).float()
        b, _, t = x0.shape[:3]
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        mask = torch.ones(b, t, dtype=torch.bool, device=self.device)
        mask[:, 0] = False
        x = torch.where(mask[:, None, :, None, None], noise, x0)
        with torch.autocast(self.device.type, torch.bfloat16):
            kept = torch.zeros(b, dtype=torch.bool, device=self.device)
            denoise = self.learner.denoiser(model, batch, kept, x0[:, :, :1])
            return denoise(x, torch.full((b,), 1000.0, device=self.device), mask)
