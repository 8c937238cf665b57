"""The embedded Wan-Move: Tora nano's transformer without extractor and fusers, with copied latents as further input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toraeval.models.shared.nano.caption_encoder import CaptionEncoder
from toraeval.models.shared.network.captioned import CaptionedSTDiT
from toraeval.models.shared.network.config import STDiTConfig, nano
from toraeval.models.shared.rectified_flow import linear_estimate

from .copies import EXTRA


def wan_move_nano(**changes: Any) -> STDiTConfig:
    """Configuration of the embedded Wan-Move; keyword arguments override fields.

    Wider than Tora nano in its MLPs, as extractor and fusers are saved.
    """
    channels = changes.get("in_channels", nano().in_channels)
    own = {"fuser": "none", "binding": "none", "mlp_ratio": 5.0, "cond_channels": 2 * channels + EXTRA}
    return nano(**own | changes)


class WanMoveNetwork(CaptionedSTDiT):
    """A transformer that takes paths from its input alone.

    Args:
        config: of the transformer; `cond_channels` holds the first frame's latent and `copies.copied_latents`.

    Raises:
        ValueError: a configuration with fusers, or without room for the copies.
    """

    def __init__(self, config: STDiTConfig) -> None:
        needed = 2 * config.in_channels + EXTRA
        if config.fuser != "none" or config.cond_channels != needed:
            raise ValueError(
                f"Wan-Move needs fuser 'none' and {needed} cond_channels; "
                f"got {config.fuser!r} and {config.cond_channels}"
            )
        super().__init__(config)
        self.text_encoder = CaptionEncoder(config.caption_channels)

    def predict_clean(
        self, x: Tensor, timestep: Tensor, x_mask: Tensor | None, cond: Tensor, **others: Any
    ) -> Tensor:
        """Predict the clean latent as a change of the first frame's, as `CaptionedSTDiT.predict_clean` does.

        Args:
            x: noisy latents (B, C, T, H, W), unit variance.
            timestep: (B,) on 0..1000.
            x_mask: bool (B, T), False marks given frames.
            cond: latent of the first frame (B, C, 1, H, W).
            others: `copies` (B, C + 9, T, H, W), or None for no path; further arguments of `forward`.

        Returns:
            float32 (B, C, T, H, W).
        """
        copies = others.pop("copies")
        b, c, t, h, w = x.shape
        if copies is None:
            copies = x.new_zeros(b, c + EXTRA, t, h, w)
        given = torch.cat((cond.expand(-1, -1, t, -1, -1), copies.to(cond.dtype)), 1)
        estimate = linear_estimate(x, timestep, x_mask)
        return self(estimate, timestep, x_mask=x_mask, cond=given, **others) + cond  # type: ignore[no-any-return]
