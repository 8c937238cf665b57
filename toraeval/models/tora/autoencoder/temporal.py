"""Temporal autoencoder of Open-Sora v1.2: four frames of 2-D latents to one, the picture size kept.

Structure and parameter names follow Open-Sora v1.2.0 `opensora/models/vae/vae_temporal.py` (VAE_Temporal_SD); the
numbers are equal. Convolutions look back in time only, but group norms pool over all frames of a chunk: a later frame
does change earlier latents, and a lone image encodes differently from the first frame of a clip.

Legend: B clips, C channels, T frames, t latent frames, H, W cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.tora.autoencoder.posterior import Posterior
from toraeval.types import UserError, counted


@dataclass(frozen=True)
class TemporalVAEConfig:
    """Shape of the temporal autoencoder; the defaults are those of the published weights.

    Raises:
        ValueError: widths that the norm groups do not divide, or levels that do not match.
    """

    in_out_channels: int = 4
    latent_embed_dim: int = 4
    embed_dim: int = 4
    filters: int = 128
    num_res_blocks: int = 4
    channel_multipliers: tuple[int, ...] = (1, 2, 2, 4)
    temporal_downsample: tuple[bool, ...] = (False, True, True)
    num_groups: int = 32

    def __post_init__(self) -> None:
        object.__setattr__(self, "channel_multipliers", tuple(self.channel_multipliers))
        object.__setattr__(self, "temporal_downsample", tuple(self.temporal_downsample))
        if len(self.temporal_downsample) != len(self.channel_multipliers) - 1:
            raise ValueError(
                f"vae: {len(self.channel_multipliers)} channel_multipliers need one entry of temporal_downsample "
                f"less, got {len(self.temporal_downsample)}"
            )
        if any(width % self.num_groups for width in self.widths):
            raise ValueError(f"vae: widths {self.widths} must be multiples of num_groups {self.num_groups}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, finest in time first."""
        return tuple(self.filters * multiplier for multiplier in self.channel_multipliers)

    @property
    def stride(self) -> int:
        """Frames per latent frame."""
        return 2 ** sum(self.temporal_downsample)

    @classmethod
    def from_upstream(cls, options: Mapping[str, Any]) -> TemporalVAEConfig:
        """Build from the options of upstream's VAE_Temporal.

        Raises:
            ValueError: an unknown option, or another activation than the published one.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(options) - known - {"activation_fn"})
        if unknown:
            raise ValueError(
                f"vae: unknown option(s) {', '.join(unknown)}; known: {', '.join(sorted(known))}"
            )
        if options.get("activation_fn", "swish") != "swish":
            raise ValueError(
                f"vae: activation_fn {options['activation_fn']!r} is not implemented; allowed: swish"
            )
        return cls(**{name: value for name, value in options.items() if name in known})


class CausalConv3d(nn.Module):
    """3-D convolution padded with zeros: on both sides in space, only in front in time."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.time_padding = kernel - stride  # a stride of 2 lacks one frame instead of two
        space = kernel // 2
        self.conv = nn.Conv3d(
            in_channels, out_channels, kernel, stride=(stride, 1, 1), padding=(0, space, space), bias=bias
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Map [B,C,T,H,W] to [B,C',ceil(T/stride),H,W] (T even where the stride is 2)."""
        if self.time_padding:
            x_BCTHW = F.pad(x_BCTHW, (0, 0, 0, 0, self.time_padding, 0))
        return self.conv(x_BCTHW)


class ResBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), with a 1 x 1 x 1 convolution on x where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = CausalConv3d(in_channels, out_channels, 3, bias=False)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.conv2 = CausalConv3d(out_channels, out_channels, 3, bias=False)
        self.conv3 = (
            CausalConv3d(in_channels, out_channels, 1, bias=False)
            if in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Map [B,C,T,H,W] to [B,C',T,H,W]."""
        hidden = self.conv1(F.silu(self.norm1(x_BCTHW), inplace=True))
        hidden = self.conv2(F.silu(self.norm2(hidden), inplace=True))
        return hidden.add_(self.conv3(x_BCTHW))


def _blocks(before: int, after: int, config: TemporalVAEConfig) -> nn.Sequential:
    widths = [before] + [after] * config.num_res_blocks
    return nn.Sequential(*(ResBlock(a, b, config.num_groups) for a, b in pairwise(widths)))


class TemporalEncoder(nn.Module):
    """2-D latents [B,C,T,H,W] to moments [B,2C,T/4,H,W] before `quant_conv`."""

    def __init__(self, config: TemporalVAEConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = CausalConv3d(config.in_out_channels, widths[0], 3, bias=False)
        self.block_res_blocks = nn.ModuleList(
            _blocks(before, after, config)
            for before, after in zip((widths[0], *widths), widths, strict=False)
        )
        self.conv_blocks = nn.ModuleList(
            CausalConv3d(width, width, 3, stride=2) if down else nn.Identity()
            for width, down in zip(widths, config.temporal_downsample, strict=False)
        )
        self.res_blocks = _blocks(widths[-1], widths[-1], config)
        self.norm1 = nn.GroupNorm(config.num_groups, widths[-1])
        self.conv2 = CausalConv3d(widths[-1], 2 * config.latent_embed_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode."""
        x = self.block_res_blocks[0](self.conv_in(x))
        for down, blocks in zip(self.conv_blocks, self.block_res_blocks[1:], strict=True):
            x = blocks(down(x))
        return self.conv2(F.silu(self.norm1(self.res_blocks(x)), inplace=True))


class TemporalDecoder(nn.Module):
    """Latents [B,C,t,H,W] after `post_quant_conv` to 2-D latents [B,C,4t,H,W]."""

    def __init__(self, config: TemporalVAEConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv1 = CausalConv3d(config.latent_embed_dim, widths[-1], 3)
        self.res_blocks = _blocks(widths[-1], widths[-1], config)
        self.block_res_blocks = nn.ModuleList(
            _blocks(before, after, config)
            for before, after in zip((*widths[1:], widths[-1]), widths, strict=True)
        )
        self.conv_blocks = nn.ModuleList(
            CausalConv3d(width, 2 * width, 3) if up else nn.Identity()
            for width, up in zip(widths[1:], config.temporal_downsample, strict=True)
        )
        self.temporal = config.temporal_downsample
        self.norm1 = nn.GroupNorm(config.num_groups, widths[0])
        self.conv_out = CausalConv3d(widths[0], config.in_out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Decode."""
        x = self.block_res_blocks[-1](self.res_blocks(self.conv1(x)))
        for level in reversed(range(len(self.conv_blocks))):
            x = self.conv_blocks[level](x)
            if self.temporal[level]:
                # Channel 2c + s holds sub-frame s of channel c.
                x = x.unflatten(1, (-1, 2)).transpose(2, 3).flatten(2, 3)
            x = self.block_res_blocks[level](x)
        return self.conv_out(F.silu(self.norm1(x), inplace=True))


class TemporalVAE(nn.Module):
    """The temporal autoencoder of one chunk of frames.

    Args:
        config: shape of the network.
    """

    def __init__(self, config: TemporalVAEConfig | None = None) -> None:
        super().__init__()
        self.config = config or TemporalVAEConfig()
        self.encoder = TemporalEncoder(self.config)
        self.quant_conv = CausalConv3d(2 * self.config.latent_embed_dim, 2 * self.config.embed_dim, 1)
        self.post_quant_conv = CausalConv3d(self.config.embed_dim, self.config.latent_embed_dim, 1)
        self.decoder = TemporalDecoder(self.config)

    def latent_frames(self, frames: int) -> int:
        """Return the number of latent frames of `frames` frames: ceil(frames / 4)."""
        return -(-frames // self.config.stride)

    def encode(self, x_BCTHW: Tensor) -> Posterior:
        """Return mean and log-variance [B,C,ceil(T/4),H,W] of 2-D latents [B,C,T,H,W], zeros in front to fours."""
        missing = -x_BCTHW.shape[2] % self.config.stride
        moments = self.quant_conv(self.encoder(F.pad(x_BCTHW, (0, 0, 0, 0, missing, 0))))
        return Posterior.from_moments(moments)

    def decode(self, z_BCTHW: Tensor, frames: int) -> Tensor:
        """Map latents [B,C,ceil(frames/4),H,W] to 2-D latents [B,C,frames,H,W].

        Raises:
            UserError: the latents do not belong to that many frames.
        """
        if z_BCTHW.shape[2] != self.latent_frames(frames):
            raise UserError(
                f"vae: {counted(z_BCTHW.shape[2], 'latent frame')} cannot be decoded to {counted(frames, 'frame')}; "
                f"these need {self.latent_frames(frames)}"
            )
        return self.decoder(self.post_quant_conv(z_BCTHW))[:, :, -frames % self.config.stride :]
