"""Parts of the U-Nets: residual blocks in space and time, and transformers within frames and along time.

They follow the video U-Nets of LVDM (arXiv 2211.13221; MotionCtrl's VideoCrafter) and Stable Video Diffusion
(DragNUWA 1.5): an image U-Net with a time convolution after each residual block and attention along time after each
spatial transformer, both starting at zero. Everything is channels-last, and every convolution is stored as a matrix.

Legend of the shape suffixes: B batch, T latent frames, N = B T, H rows, W columns, S = H W places, C channels,
E embedding width, L text tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.network.attention import CrossAttention, SelfAttention
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.embeddings import Mlp
from toraeval.models.shared.network.fuser import time_columns, zero_

from .config import UNetConfig

NORM_EPS = 1e-5
Fuse = Callable[[Tensor], Tensor]


def group_norm(x_NHWC: Tensor, groups: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise each frame over all places and the channels of a group, then `* scale + shift`.

    torch's own group norm takes four times as long on channels-last input.

    Args:
        x_NHWC: any dtype; sums are taken in float32.
        groups: must divide C.
        scale, shift: (C) or (N, C).
    """
    n, h, w, c = x_NHWC.shape
    count = h * w * (c // groups)
    places = x_NHWC.reshape(n, h * w, c)
    mean = places.sum(1, dtype=torch.float32).view(n, groups, -1).sum(2) / count
    square = places.square().sum(1, dtype=torch.float32).view(n, groups, -1).sum(2) / count
    inverse = ((square - mean.square()).clamp_min(0) + NORM_EPS).rsqrt()
    gain = inverse[..., None] * scale.float().view(-1, groups, c // groups)
    offset = shift.float().view(-1, groups, c // groups) - mean[..., None] * gain
    flat = (n, 1, 1, c)
    return torch.addcmul(offset.view(flat).to(x_NHWC.dtype), x_NHWC, gain.view(flat).to(x_NHWC.dtype))


class GroupNorm(nn.Module):
    """`group_norm` with learned scale and shift."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Normalise (N, H, W, C)."""
        return group_norm(x_NHWC, self.groups, self.weight, self.bias)


class Conv3x3(nn.Module):
    """Convolution of side 3 and padding 1 on channels-last input; its weight is the matrix (outputs, 9 inputs).

    Such a matrix is a channels-last kernel without any copy, and an optimiser for matrices can train it.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.randn(outputs, 9 * inputs) / (9 * inputs) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Map (N, H, W, inputs) to (N, ceil(H / stride), ceil(W / stride), outputs)."""
        kernel = self.weight.to(x_NHWC.dtype).view(len(self.weight), 3, 3, -1).permute(0, 3, 1, 2)
        bias = self.bias.to(x_NHWC.dtype)
        out = F.conv2d(x_NHWC.permute(0, 3, 1, 2), kernel, bias, self.stride, padding=1)
        return out.permute(0, 2, 3, 1)

    def zero(self) -> Conv3x3:
        """Set weight and bias to zero; returns itself."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        return self


def stride_convs(config: UNetConfig) -> nn.ModuleList:
    """Return one convolution per level for displacement maps; each but the first halves the resolution."""
    inputs = (config.motion_in, *config.motion_channels)
    return nn.ModuleList(
        Conv3x3(before, channels, stride=2 if level else 1)
        for level, (before, channels) in enumerate(zip(inputs, config.motion_channels, strict=False))
    )


def per_frame(layer: Callable[[Tensor], Tensor], x_BTHWC: Tensor) -> Tensor:
    """Apply a layer for (N, H, W, C) to every frame of (B, T, H, W, C)."""
    return layer(x_BTHWC.flatten(0, 1)).unflatten(0, x_BTHWC.shape[:2])


class TimeConv(nn.Module):
    """x + convolution of width 3 along time of silu(norm(x)); starts at zero."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels)
        self.mix = nn.Linear(3 * channels, channels)
        zero_(self.mix)

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        """Map (B, T, H, W, C) to the same shape."""
        return x_BTHWC + self.mix(time_columns(F.silu(per_frame(self.norm, x_BTHWC))))


class UNetBlock(nn.Module):
    """Two convolutions with the noise level as scale and shift between them, then a time convolution.

    Args:
        inputs, outputs: channels.
        embedding: width of the noise-level embedding.
        groups: groups of the norms.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.norm = GroupNorm(groups, inputs)
        self.conv_in = Conv3x3(inputs, outputs)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.conv_out = Conv3x3(outputs, outputs).zero()
        self.skip = nn.Linear(inputs, outputs) if inputs != outputs else nn.Identity()
        self.time = TimeConv(outputs, groups)

    def forward(self, x_BTHWC: Tensor, embedded_BTE: Tensor, fuse: Fuse | None = None) -> Tensor:
        """Map (B, T, H, W, inputs) to (..., outputs); `fuse` acts on the first convolution's result."""
        h = per_frame(self.conv_in, F.silu(per_frame(self.norm, x_BTHWC)))
        if fuse is not None:
            h = fuse(h)
        scale, shift = self.modulation(embedded_BTE).flatten(0, 1).chunk(2, -1)
        h = group_norm(h.flatten(0, 1), self.groups, 1 + scale, shift).unflatten(0, x_BTHWC.shape[:2])
        return self.time(self.skip(x_BTHWC) + per_frame(self.conv_out, F.silu(h)))


class Transformer(nn.Module):
    """Self-attention within each frame, attention to the caption, an MLP, then self-attention along time.

    Only the attention along time knows an order, and only distances (rotary), so any number of frames will do.

    Args:
        width: channels.
        head_width: channels of a head.
        caption_channels: width of the caption features.
    """

    def __init__(self, width: int, head_width: int, caption_channels: int) -> None:
        super().__init__()
        shape = STDiTConfig(hidden_size=width, num_heads=width // head_width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.within = SelfAttention(shape, temporal=False)
        self.caption = nn.Linear(caption_channels, width)
        self.to_caption = CrossAttention(shape)
        self.mlp = Mlp(width, 2 * width, width)
        self.along = SelfAttention(shape, temporal=True)
        for last in (self.to_caption.proj, self.along.proj):
            zero_(last)

    def forward(self, x_BTHWC: Tensor, text_BLC: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """Map (B, T, H, W, C) to the same shape; `rope` tables are (T, head_width)."""
        x = x_BTHWC.flatten(2, 3)
        x = x + self.within(self._norm(0, x), rope)
        keys_values = self.to_caption.keys_values(self.caption(text_BLC))
        x = x + self.to_caption(self._norm(1, x), keys_values, None)
        x = x + self.mlp(self._norm(2, x))
        x = x + self.along(self._norm(3, x), rope)
        return x.view_as(x_BTHWC)

    def _norm(self, index: int, x: Tensor) -> Tensor:
        norm = self.norms[index]
        assert isinstance(norm, nn.LayerNorm)
        normed = F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)
        return torch.addcmul(norm.bias.to(x.dtype), normed, norm.weight.to(x.dtype))
