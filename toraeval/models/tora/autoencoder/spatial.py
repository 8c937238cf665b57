"""2-D autoencoder of Open-Sora v1.2: the SDXL architecture, applied frame by frame.

Structure and parameter names follow diffusers' AutoencoderKL (as pinned by Open-Sora v1.2.0), the wrapper
`opensora/models/vae/vae.py` (class VideoAutoencoderKL); the numbers are equal.

Legend: B clips, T frames, N frames folded into the batch, C channels, H, W pixels, h, w latent cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.noise import Draw
from toraeval.models.tora.autoencoder.posterior import Posterior
from toraeval.models.tora.autoencoder.tiling import Tiling, tiled

NORM_EPS = 1e-6
LAYOUT = (
    torch.channels_last
)  # 4 % faster in float32 and 10 % in bfloat16 than rows of channels (one CPU core)
SCALING = 0.18215  # Stable Diffusion's, not SDXL's 0.13025: the released weights were trained with it

# Options of a diffusers config that change nothing here, and those that only one value is implemented for.
IGNORED = {"sample_size", "scaling_factor", "shift_factor", "force_upcast", "latents_mean", "latents_std"}
FIXED: dict[str, Any] = {
    "act_fn": "silu",
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "mid_block_add_attention": True,
}
FIXED_BLOCKS = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}


@dataclass(frozen=True)
class SpatialVAEConfig:
    """Shape of the 2-D autoencoder; the defaults are those of the published weights.

    Raises:
        ValueError: widths that the norm groups do not divide.
    """

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32

    def __post_init__(self) -> None:
        object.__setattr__(self, "block_out_channels", tuple(self.block_out_channels))
        if not self.block_out_channels or any(c % self.norm_num_groups for c in self.block_out_channels):
            raise ValueError(
                f"vae: block_out_channels {self.block_out_channels} must be multiples of "
                f"norm_num_groups {self.norm_num_groups}"
            )

    @property
    def stride(self) -> int:
        """Pixels per latent cell and side."""
        return 2 ** (len(self.block_out_channels) - 1)

    @classmethod
    def from_upstream(cls, options: Mapping[str, Any]) -> SpatialVAEConfig:
        """Build from a diffusers AutoencoderKL config mapping.

        Raises:
            ValueError: an unknown option, or a value that this autoencoder does not implement.
        """
        known = {f.name for f in fields(cls)}
        for name, value in options.items():
            if name in known or name in IGNORED or name.startswith("_"):
                continue
            if name in FIXED_BLOCKS:
                value, allowed = sorted(set(value)), [FIXED_BLOCKS[name]]
            elif name in FIXED:
                allowed = FIXED[name]
            else:
                raise ValueError(f"vae: unknown option {name}; known: {', '.join(sorted(known))}")
            if value != allowed:
                raise ValueError(f"vae: {name} {value!r} is not implemented; allowed: {allowed!r}")
        return cls(**{name: value for name, value in options.items() if name in known})


class ResnetBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), with a 1 x 1 convolution on x where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, NORM_EPS)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, out_channels, NORM_EPS)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = (
            nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map [N,C,H,W] to [N,C',H,W]."""
        hidden = self.conv1(F.silu(self.norm1(x_NCHW), inplace=True))
        hidden = self.conv2(F.silu(self.norm2(hidden), inplace=True))
        return hidden.add_(self.conv_shortcut(x_NCHW))


class FrameAttention(nn.Module):
    """Single-head self-attention over all cells of a frame, added to its input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, NORM_EPS)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Attend in [N,C,h,w]."""
        tokens = self.group_norm(x_NCHW).flatten(2).transpose(1, 2)[:, None]  # [N,1,h*w,C]
        out = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return self.to_out[0](out[:, 0]).transpose(1, 2).reshape(x_NCHW.shape) + x_NCHW


class Resample(nn.Module):
    """Halve (stride-2 convolution, padded right and below) or double (nearest, then convolution) the side."""

    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map [N,C,H,W] to [N,C,H//2,W//2] or [N,C,2H,2W]."""
        if self.down:
            return self.conv(F.pad(x_NCHW, (0, 1, 0, 1)))
        return self.conv(F.interpolate(x_NCHW, scale_factor=2.0, mode="nearest"))


class MidBlock(nn.Module):
    """Residual block, attention, residual block at the coarsest size."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([FrameAttention(channels, groups)])
        self.resnets = nn.ModuleList(ResnetBlock(channels, channels, groups) for _ in range(2))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map [N,C,h,w] to the same shape."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x_NCHW)))


class Level(nn.Module):
    """Residual blocks at one size and the change to the next; `samplers` is the upstream name of that change."""

    def __init__(self, widths: tuple[int, int], layers: int, groups: int, samplers: str, last: bool) -> None:
        super().__init__()
        before, after = widths
        self.resnets = nn.ModuleList(
            ResnetBlock(before if i == 0 else after, after, groups) for i in range(layers)
        )
        self.samplers = samplers
        if not last:
            self.add_module(samplers, nn.ModuleList([Resample(after, down=samplers == "downsamplers")]))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,C,H,W] to the width and size of the next level."""
        for block in self.resnets:
            x = block(x)
        for resample in getattr(self, self.samplers, ()):
            x = resample(x)
        return x


class FrameEncoder(nn.Module):
    """Frames [N,3,H,W] to moments [N,2C,h,w] before `quant_conv`."""

    def __init__(self, config: SpatialVAEConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Level(pair, config.layers_per_block, groups, "downsamplers", last=i == len(widths) - 1)
            for i, pair in enumerate(zip((widths[0], *widths), widths, strict=False))
        )
        self.mid_block = MidBlock(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], NORM_EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x)), inplace=True))


class FrameDecoder(nn.Module):
    """Latents [N,C,h,w] after `post_quant_conv` to frames [N,3,8h,8w]."""

    def __init__(self, config: SpatialVAEConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels[::-1], config.norm_num_groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0], groups)
        self.up_blocks = nn.ModuleList(
            Level(pair, config.layers_per_block + 1, groups, "upsamplers", last=i == len(widths) - 1)
            for i, pair in enumerate(zip((widths[0], *widths), widths, strict=False))
        )
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], NORM_EPS)
        self.conv_out = nn.Conv2d(widths[-1], config.out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Decode."""
        x = self.mid_block(self.conv_in(x))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(x), inplace=True))


class AutoencoderKL(nn.Module):
    """The autoencoder of single frames, with diffusers' state-dict keys."""

    def __init__(self, config: SpatialVAEConfig) -> None:
        super().__init__()
        self.encoder = FrameEncoder(config)
        self.decoder = FrameDecoder(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def moments(self, frames_NCHW: Tensor) -> Tensor:
        """Map frames [N,3,H,W] in -1..1 to mean and log-variance [N,2C,H//8,W//8]."""
        return self.quant_conv(self.encoder(frames_NCHW.to(memory_format=LAYOUT)))

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Map unscaled latents [N,C,h,w] to frames [N,3,8h,8w]."""
        return self.decoder(self.post_quant_conv(latents_NCHW.to(memory_format=LAYOUT)))


class SpatialVAE(nn.Module):
    """The 2-D autoencoder applied to every frame of a clip, latents scaled by 0.18215.

    Args:
        config: shape of the network.
    """

    def __init__(self, config: SpatialVAEConfig | None = None) -> None:
        super().__init__()
        self.config = config or SpatialVAEConfig()
        self.module = AutoencoderKL(self.config)

    def posterior(self, video_BCTHW: Tensor, micro_batch: int | None = None) -> Posterior:
        """Return mean and log-variance of all frames, [B*T,C,H//8,W//8] and unscaled.

        Args:
            video_BCTHW: float [B,3,T,H,W] in -1..1, on any device; H and W need not be multiples of 8.
            micro_batch: frames encoded at once; it bounds memory and changes no number.
        """
        weight = self.module.quant_conv.weight
        frames = video_BCTHW.transpose(1, 2).flatten(0, 1)
        moments = [
            self.module.moments(part.to(weight.device, weight.dtype))
            for part in frames.split(micro_batch or len(frames))
        ]
        return Posterior.from_moments(torch.cat(moments))

    def encode(self, video_BCTHW: Tensor, draw: Draw | None = None, micro_batch: int | None = None) -> Tensor:
        """Return scaled latents [B,C,T,H//8,W//8]: the mode, or a sample with one call of `draw` for all frames."""
        latents = self.posterior(video_BCTHW, micro_batch).latents(draw) * SCALING
        return latents.unflatten(0, (video_BCTHW.shape[0], -1)).transpose(1, 2)

    def decode(
        self, latents_BCTHW: Tensor, micro_batch: int | None = None, tiling: Tiling | None = None
    ) -> Tensor:
        """Return frames [B,3,T,8h,8w], about -1..1 and not clamped, of scaled latents [B,C,T,h,w]."""
        weight = self.module.post_quant_conv.weight
        latents = latents_BCTHW.to(weight.device, weight.dtype).transpose(1, 2).flatten(0, 1) / SCALING
        frames = [
            tiled(self.module.decode, part, tiling, 1, self.config.stride)
            for part in latents.split(micro_batch or len(latents))
        ]
        return torch.cat(frames).unflatten(0, (latents_BCTHW.shape[0], -1)).transpose(1, 2)
