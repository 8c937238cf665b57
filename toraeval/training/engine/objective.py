"""The loss that all embedded models are trained and validated with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.rectified_flow import ClipSize, RectifiedFlow
from toraeval.training.data.batches import Batch
from toraeval.training.engine.settings import TrainConfig
from toraeval.training.recipes.learners import Learner

FPS = 8.0
SIZE = 512.0


class Objective:
    """Clean-latent error of rectified flow; latent frame 0 is given clean and left out.

    Args:
        learner: how the network is called.
        vae: the autoencoder of the latents; the variance of its components weighs the channels.
        config: options of the run.
    """

    def __init__(self, learner: Learner, vae: LinearPatchAutoencoder, config: TrainConfig) -> None:
        self.learner, self.device = learner, torch.device(config.device)
        self.flow = RectifiedFlow(config.flow)
        weights = vae.scale.square() ** config.channel_power
        self.channel_weights = (weights / weights.mean()).to(self.device)

    def losses(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, text_dropout: float
    ) -> Tensor:
        """Return the loss of each clip.

        Args:
            model: the network.
            batch: clips, their motion and captions.
            generator: CPU generator of time steps, noise and dropped captions.
            text_dropout: share of captions that are replaced by the null caption.

        Returns:
            float32 (B,), >= 0.
        """
        x0 = batch.video.to(self.device).permute(0, 4, 1, 2, 3).float()
        size = ClipSize(SIZE, SIZE, float(batch.frames))
        b, _, t = x0.shape[:3]
        times = self.flow.sample_times(b, size, generator).to(self.device)
        noise = torch.randn(x0.shape, generator=generator).to(self.device)
        mask = torch.ones(b, t, dtype=torch.bool, device=self.device)
        mask[:, 0] = False
        with torch.autocast(self.device.type, torch.bfloat16):
            dropped = torch.rand(b, generator=generator).to(self.device) < text_dropout
            fps = torch.full((1,), FPS, device=self.device)
            denoise = self.learner.denoiser(model, batch, dropped, x0[:, :, :1], fps)
            return self.flow.loss(denoise, x0, times, noise, mask, self.channel_weights)

    def one_step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Sample clips in one step from pure noise, float32 (B, C, t, h, w)."""
        x0 = batch.video.to(self.device).permute(0, 4, 1, 2, 3).float()
        b, _, t = x0.shape[:3]
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        mask = torch.ones(b, t, dtype=torch.bool, device=self.device)
        mask[:, 0] = False
        x = torch.where(mask[:, None, :, None, None], noise, x0)
        with torch.autocast(self.device.type, torch.bfloat16):
            kept = torch.zeros(b, dtype=torch.bool, device=self.device)
            fps = torch.full((1,), FPS, device=self.device)
            denoise = self.learner.denoiser(model, batch, kept, x0[:, :, :1], fps)
            return denoise(x, torch.full((b,), 1000.0, device=self.device), mask)
