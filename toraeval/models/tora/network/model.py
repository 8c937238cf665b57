"""Tora: the diffusion transformer with its trajectory extractor, fusers and embedded caption encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toraeval.models.tora.conditions.caption_encoder import CaptionEncoder, tokenise
from toraeval.models.tora.network.config import STDiTConfig
from toraeval.models.tora.network.extractor import TrajectoryExtractor
from toraeval.models.tora.network.stdit import STDiT3
from toraeval.models.tora.sampling.rectified_flow import linear_estimate


class Tora(STDiT3):
    """STDiT3 plus `traj_extractor`, `fuser` and, for the embedded size, `text_encoder`.

    Args:
        config: size and options; with `fuser` "none" it is the backbone alone and follows no path.
    """

    def __init__(self, config: STDiTConfig) -> None:
        super().__init__(config)
        self.traj_extractor: TrajectoryExtractor | None = None
        if config.fuser != "none":
            self.traj_extractor = TrajectoryExtractor(
                config.motion_in_channels,
                config.motion_channels,
                config.depth,
                config.extractor_blocks,
                config.patch_size[1],
                config.extractor_norm,
            )
        self.text_encoder = CaptionEncoder(config.caption_channels) if config.embedded_text else None

    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Return caption features (B, 1, L, channels) of the embedded encoder.

        Raises:
            ValueError: when this size has no encoder of its own.
        """
        if self.text_encoder is None:
            raise ValueError(
                "this size of Tora takes caption features from T5; it has no text encoder of its own"
            )
        ids = torch.tensor([tokenise(p) for p in prompts], device=self.final_layer.linear.weight.device)
        return self.text_encoder(ids)  # type: ignore[no-any-return]

    def encode_motion(self, latents_BCTHW: Tensor) -> list[Tensor]:
        """Return one motion feature map (B, T, S, M) per block pair from motion latents.

        Raises:
            ValueError: when this network has no fusers.
        """
        if self.traj_extractor is None:
            raise ValueError("this network has fuser 'none': it takes no trajectories")
        return self.traj_extractor(latents_BCTHW.to(self.compute_dtype))  # type: ignore[no-any-return]

    def predict_clean(
        self, x: Tensor, timestep: Tensor, x_mask: Tensor | None, cond: Tensor, **others: Any
    ) -> Tensor:
        """Predict the clean latent as a change of the first frame's latent; the embedded size's output.

        Two measures that a small network needs and that a large one can do without: noisy frames enter as
        the linear estimate of the clean latent, x_t (1-u) / ((1-u)^2 + u^2), so that pure noise does not drown
        the conditions; and what does not change is copied instead of being learned.

        Args:
            x: noisy latents (B, C, T, H, W), unit variance.
            timestep: (B,) on 0..1000.
            x_mask: bool (B, T), False marks given frames; they enter unscaled.
            cond: latent of the first frame (B, C, 1, H, W).
            others: further arguments of `forward`.

        Returns:
            float32 (B, C, T, H, W).
        """
        estimate = linear_estimate(x, timestep, x_mask)
        return self(estimate, timestep, x_mask=x_mask, cond=cond, **others) + cond  # type: ignore[no-any-return]
