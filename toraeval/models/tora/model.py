"""Tora: the diffusion transformer with its trajectory extractor, fusers and embedded caption encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from toraeval.models.tora.config import STDiTConfig
from toraeval.models.tora.extractor import TrajectoryExtractor
from toraeval.models.tora.stdit import STDiT3
from toraeval.models.tora.text import CaptionEncoder, tokenise


class Tora(STDiT3):
    """STDiT3 plus `traj_extractor`, `fuser` and, for the embedded size, `text_encoder`.

    Args:
        config: size and options; `fuser` must not be `none`.
    """

    def __init__(self, config: STDiTConfig) -> None:
        super().__init__(config)
        self.traj_extractor = TrajectoryExtractor(
            config.in_channels,
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
        """Return one motion feature map (B, T, S, M) per block pair from motion latents."""
        return self.traj_extractor(latents_BCTHW.to(self.compute_dtype))  # type: ignore[no-any-return]
