"""The denoiser as the embedded models use it: with a caption encoder of its own, and predicting the clean latent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toraeval.models.shared.nano.caption_encoder import CaptionEncoder, tokenise
from toraeval.models.shared.nano.copies import beside_first
from toraeval.models.shared.network.blocks import TextContext
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.rectified_flow import linear_estimate


class CaptionedSTDiT(STDiT3):
    """`STDiT3` with `text_encoder`, which a network sets after its other parts, as stored weights have them."""

    text_encoder: CaptionEncoder | None

    @property
    def latent_channels(self) -> int:
        """Channels of a latent cell."""
        return self.config.in_channels

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

    def guided_text(self, prompt: str, rows: int) -> TextContext:
        """Return a caption for every step of the sampler; the second of two rows has the null caption."""
        y = self.encode_text([prompt])
        if rows == 2:
            y = torch.cat((y, self.y_embedder.null(1).to(y)))
        return self.precompute_text(y)

    def predict_clean(
        self,
        x: Tensor,
        timestep: Tensor,
        x_mask: Tensor | None,
        cond: Tensor,
        copies: Tensor | None = None,
        **others: Any,
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
            copies: (B, C + 1, T, H, W) of `toraeval.models.shared.nano.copies` for entity binding, or None for no path.
            others: further arguments of `forward`.

        Returns:
            float32 (B, C, T, H, W).
        """
        estimate, given = linear_estimate(x, timestep, x_mask), cond
        if self.config.binding == "entity":
            given = beside_first(cond, copies, x.shape[2])
        return self(estimate, timestep, x_mask=x_mask, cond=given, **others) + cond  # type: ignore[no-any-return]
