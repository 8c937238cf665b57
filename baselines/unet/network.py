"""Video U-Net on the latents of the linear patch autoencoder, with places for the motion of a path.

Both embedded U-Nets are this network; each adds its own way of bringing motion in (`_motion_encoder`, `_fusion`,
`_guide`). The first frame with copies along the paths and the caption enter as they do in Tora nano, and so does the
noisy latent, so that the comparison is one of networks and conditioning.

Legend of the shape suffixes: B batch, T latent frames, H rows, W columns, C channels, E embedding width, L text tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.nano.caption_encoder import MAX_TOKENS, CaptionEncoder, tokenise
from toraeval.models.shared.nano.copies import beside_first
from toraeval.models.shared.network.embeddings import RotaryEmbedding, ScalarEmbedder, SizeEmbedder
from toraeval.models.shared.rectified_flow import linear_estimate

from .blocks import Conv3x3, Fuse, GroupNorm, Transformer, UNetBlock, per_frame
from .config import UNetConfig


class UNetLevel(nn.Module):
    """Residual blocks and transformers of one resolution.

    Args:
        config: of the network.
        level: number of the level, 0 the finest.
        inputs: channels that come in.
        count: number of residual blocks.
    """

    def __init__(self, config: UNetConfig, level: int, inputs: int, count: int) -> None:
        super().__init__()
        width = config.widths[level]
        self.residual = nn.ModuleList(
            UNetBlock(inputs if i == 0 else width, width, config.embedding, config.groups)
            for i in range(count)
        )
        self.transformers = nn.ModuleList(
            Transformer(width, config.head_width, config.caption_channels)
            for _ in range(count if config.attention[level] else 0)
        )

    def forward(
        self, x: Tensor, embedded: Tensor, text: Tensor, rope: tuple[Tensor, Tensor], fuse: Fuse | None
    ) -> Tensor:
        """Map (B, T, H, W, inputs) to (B, T, H, W, width); `fuse` acts in the first residual block."""
        for i, block in enumerate(self.residual):
            x = block(x, embedded, fuse if i == 0 else None)
            if len(self.transformers):
                x = self.transformers[i](x, text, rope)
        return x


class UNet(nn.Module, ABC):
    """The denoiser without its motion conditioning.

    Args:
        config: shape.

    Raises:
        ValueError: the configuration is of the other design.
    """

    design: str
    null_keeps_paths: bool  # under guidance the half without caption sees the paths too

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        if config.design != self.design:
            raise ValueError(f"{type(self).__name__} needs design {self.design!r}; got {config.design!r}")
        self.config = config
        widths, counts, depth = config.widths, config.blocks, len(config.widths)
        self.text_encoder = CaptionEncoder(config.caption_channels)
        self.null_caption = nn.Parameter(
            torch.randn(MAX_TOKENS, config.caption_channels) / config.caption_channels**0.5
        )
        self.noise_embedder = ScalarEmbedder(config.embedding)
        self.fps_embedder = SizeEmbedder(config.embedding)
        self.rope = RotaryEmbedding(config.head_width)
        self.conv_in = Conv3x3(config.latent_channels + config.given_channels, widths[0])
        inputs = (widths[0], *widths[1:])
        self.encoder_blocks = nn.ModuleList(UNetLevel(config, i, inputs[i], counts[i]) for i in range(depth))
        self.down_blocks = nn.ModuleList(
            Conv3x3(widths[i], widths[i + 1], stride=2) for i in range(depth - 1)
        )
        self.middle_blocks = UNetLevel(config, depth - 1, widths[-1], 1)
        self.decoder_blocks = nn.ModuleList(
            UNetLevel(config, i, 2 * widths[i], counts[i]) for i in range(depth)
        )
        self.up_blocks = nn.ModuleList(Conv3x3(widths[i + 1], widths[i]) for i in range(depth - 1))
        self.norm_out = GroupNorm(config.groups, widths[0])
        self.conv_out = Conv3x3(widths[0], config.latent_channels).zero()
        self.motion_encoder = self._motion_encoder()

    @property
    def latent_channels(self) -> int:
        """Channels of a latent cell."""
        return self.config.latent_channels

    @property
    def compute_dtype(self) -> torch.dtype:
        """Dtype of the residual stream: the autocast dtype where autocast is on, else that of the weights."""
        kind = self.conv_in.weight.device.type
        if torch.is_autocast_enabled(kind):
            return torch.get_autocast_dtype(kind)
        return self.conv_in.weight.dtype

    @abstractmethod
    def _motion_encoder(self) -> nn.Module:
        """Build what turns displacement maps (B, T, H, W, motion_in) into one feature map per level."""

    def _fusion(self, level: int, decoder: bool, motion: list[Tensor] | None) -> Fuse | None:
        """Return what the first residual block of a level does with the motion features, or None."""
        return None

    def _guide(self, level: int, x: Tensor, motion: list[Tensor] | None, active_B: Tensor) -> Tensor:
        """Change the output of an encoder level by the motion features."""
        return x

    def encode_words(self, words_BL: Tensor) -> Tensor:
        """Map int64 word numbers (B, L) to caption features (B, 1, L, caption_channels)."""
        return self.text_encoder(words_BL)  # type: ignore[no-any-return]

    def drop_text(self, y_B1LC: Tensor, dropped_B: Tensor) -> Tensor:
        """Replace the captions of the samples marked in bool (B) by the learned null caption."""
        null = self.null_caption[: y_B1LC.shape[2]].to(y_B1LC.dtype)
        return torch.where(dropped_B[:, None, None, None], null, y_B1LC)

    def guided_text(self, prompt: str, rows: int) -> Tensor:
        """Return the features of a caption; the second of two rows has the null caption."""
        y = self.encode_words(torch.tensor([tokenise(prompt)]))
        if rows == 2:
            y = torch.cat((y, self.drop_text(y, torch.ones(1, dtype=torch.bool))))
        return y

    def encode_motion(self, maps_BTHWC: Tensor) -> list[Tensor]:
        """Map displacement maps (B, T, H, W, motion_in) to one feature map (B, T, h, w, channels) per level."""
        return self.motion_encoder(maps_BTHWC.to(self.compute_dtype))  # type: ignore[no-any-return]

    def predict_clean(
        self,
        x: Tensor,
        timestep: Tensor,
        x_mask: Tensor | None,
        cond: Tensor,
        *,
        y: Tensor,
        motion: list[Tensor] | None,
        fps: Tensor,
        copies: Tensor | None = None,
    ) -> Tensor:
        """Predict the clean latent as a change of the first frame's, with the parametrisation of Tora nano.

        Args:
            x: noisy latents (B, C, T, H, W), unit variance; any T, H and W.
            timestep: (B,) on 0..1000.
            x_mask: bool (B, T), False marks given frames; they enter unscaled and count as noise level 0.
            cond: latent of the first frame (B, C, 1, H, W).
            y: caption features (B, 1, L, caption_channels).
            motion: from `encode_motion`, or None for no path.
            fps: frames per second (B,) or (1,).
            copies: (B, C + 1, T, H, W) of `toraeval.models.shared.nano.copies` for entity binding, or None for no path.

        Returns:
            float32 (B, C, T, H, W).
        """
        estimate, given = linear_estimate(x, timestep, x_mask), cond
        if self.config.binding == "entity":
            given = beside_first(cond, copies, x.shape[2])
        return self(estimate, timestep, x_mask, given, y, motion, fps) + cond  # type: ignore[no-any-return]

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        x_mask: Tensor | None,
        cond: Tensor,
        y: Tensor,
        motion: list[Tensor] | None,
        fps: Tensor,
    ) -> Tensor:
        """Map latents to the change against the first frame, float32 (B, C, T, H, W); see `predict_clean`.

        `cond` has `given_channels`, once or for each of T latent frames.
        """
        dtype, frames = self.compute_dtype, x.shape[2]
        given = cond.to(dtype).expand(-1, -1, frames, -1, -1)
        inputs = torch.cat((x.to(dtype), given), 1).permute(0, 2, 3, 4, 1).contiguous()
        embedded = self._embed(timestep, x_mask, fps, frames).to(dtype)
        text, rope = y.squeeze(1).to(dtype), self.rope.tables(frames, dtype)
        active = timestep >= 1000 * self.config.guided_above
        h, skips = per_frame(self.conv_in, inputs), []
        for level, blocks in enumerate(self.encoder_blocks):
            if level:
                h = per_frame(self.down_blocks[level - 1], h)
            h = blocks(h, embedded, text, rope, self._fusion(level, False, motion))
            h = self._guide(level, h, motion, active)
            skips.append(h)
        h = self.middle_blocks(h, embedded, text, rope, None)
        for level in reversed(range(len(skips))):
            skip = skips[level]
            if h.shape[2:4] != skip.shape[2:4]:
                h = per_frame(self.up_blocks[level], enlarge(h, skip.shape[2], skip.shape[3]))
            h = torch.cat((h, skip), -1)
            h = self.decoder_blocks[level](h, embedded, text, rope, self._fusion(level, True, motion))
        out = per_frame(lambda z: self.conv_out(F.silu(self.norm_out(z))), h)
        return out.permute(0, 4, 1, 2, 3).float()

    def _embed(self, timestep: Tensor, x_mask: Tensor | None, fps: Tensor, frames: int) -> Tensor:
        """Embed noise level and frame rate of every frame, (B, T, E); given frames have noise level 0."""
        rate = self.fps_embedder(fps, len(timestep))
        noisy = self.noise_embedder(timestep) + rate
        embedded = noisy[:, None].expand(-1, frames, -1)
        if x_mask is not None:
            clean = self.noise_embedder(torch.zeros_like(timestep)) + rate
            embedded = torch.where(x_mask[:, :, None], embedded, clean[:, None])
        return F.silu(embedded)


def enlarge(x_BTHWC: Tensor, rows: int, columns: int) -> Tensor:
    """Double the resolution by repeating each cell, and cut to `rows` and `columns` where those are odd."""
    b, t, h, w, c = x_BTHWC.shape
    doubled = x_BTHWC[:, :, :, None, :, None].expand(b, t, h, 2, w, 2, c).reshape(b, t, 2 * h, 2 * w, c)
    return doubled[:, :, :rows, :columns]
