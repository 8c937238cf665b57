"""Embeddings of time step, frame rate, position, frame index and caption used by the diffusion transformer.

Legend of the shape suffixes: B batch, T latent frames, S tokens per frame, L text tokens, C width, D head width.
Source of every formula: Open-Sora v1.2.0, `opensora/models/layers/blocks.py`; rotary embedding as in
rotary_embedding_torch 0.5.3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.linear import Linear

FREQUENCY_WIDTH = 256


def sinusoid(values: Tensor, width: int, max_period: float = 10000.0) -> Tensor:
    """Embed scalars [...] as float32 [..., width]: cosines first, then sines, a zero appended if width is odd."""
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values.float()[..., None] * torch.exp(-math.log(max_period) / half * steps)
    return F.pad(torch.cat((angles.cos(), angles.sin()), dim=-1), (0, width % 2))


class ScalarEmbedder(nn.Module):
    """Sinusoid of a scalar followed by a two-layer SiLU network; keys `mlp.0` and `mlp.2`."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(FREQUENCY_WIDTH, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Map scalars [...] (time steps on 0..1000, or frames per second) to [..., C] in the weights' dtype.

        The sinusoid is computed in float32 whatever the weights' dtype; upstream rounds the time step to
        bfloat16 first when its weights are bfloat16.
        """
        embedded: Tensor = self.mlp(
            sinusoid(values, FREQUENCY_WIDTH).to(self.mlp[0].get_parameter("weight").dtype)
        )
        return embedded


class SizeEmbedder(ScalarEmbedder):
    """Scalar embedder of per-clip numbers such as the frame rate, tiled when the batch was doubled for guidance."""

    def forward(self, values: Tensor, batch: int | None = None) -> Tensor:
        """Map [B'] or [B', n] numbers to [batch, n*C]; fewer rows than `batch` repeat whole ([f0,f1,f0,f1])."""
        values = values[:, None] if values.ndim == 1 else values
        return tile_rows(super().forward(values).flatten(1), batch or values.shape[0])


def tile_rows(rows: Tensor, batch: int) -> Tensor:
    """Repeat a tensor [B', ...] whole along its first axis up to `batch` rows.

    Raises:
        ValueError: `batch` is not a multiple of B'.
    """
    if rows.shape[0] == batch:
        return rows
    if batch % rows.shape[0]:
        raise ValueError(f"{rows.shape[0]} rows cannot be tiled to a batch of {batch}")
    return rows.repeat(batch // rows.shape[0], *[1] * (rows.ndim - 1))


def position_table(
    width: int, rows: int, columns: int, scale: float = 1.0, base_size: int | None = None
) -> Tensor:
    """Two-dimensional sine position table, float32 [1, rows*columns, width], column index fastest.

    The column coordinate fills the first half of the channels, the row coordinate the second; each half is
    [sin, cos]. Coordinates are divided by `scale` and, with `base_size`, stretched to [0, base_size/scale).
    """
    frequencies = 10000.0 ** (-torch.arange(0, width // 2, 2, dtype=torch.float32) / (width // 2))

    def axis(count: int) -> Tensor:
        coordinate = torch.arange(count, dtype=torch.float32) / scale
        if base_size is not None:
            coordinate = coordinate * base_size / count
        angles = coordinate[:, None] * frequencies
        return torch.cat((angles.sin(), angles.cos()), dim=-1)

    half = width // 2
    by_column = axis(columns)[None, :, :].expand(rows, columns, half)
    by_row = axis(rows)[:, None, :].expand(rows, columns, half)
    return torch.cat((by_column, by_row), dim=-1).reshape(1, rows * columns, width)


class RotaryEmbedding(nn.Module):
    """Rotary embedding of the frame index; its frequencies are a frozen parameter because checkpoints hold them."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.freqs = nn.Parameter(10000.0**-exponents, requires_grad=False)

    def tables(self, num_frames: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines [T, D], each frequency held by two neighbours (-sin for the first of a pair).

        Computed in each forward pass, once for all blocks, so that loading weights later has effect.
        """
        frames = torch.arange(num_frames, dtype=torch.float32, device=self.freqs.device)
        angles = frames[:, None] * self.freqs.float()
        cosines, sines = angles.cos(), angles.sin()
        signed = torch.stack((-sines, sines), dim=-1).flatten(-2)
        return cosines.repeat_interleave(2, dim=-1).to(dtype), signed.to(dtype)


def rotate(x: Tensor, cosines: Tensor, signed_sines: Tensor) -> Tensor:
    """Rotate neighbouring pairs of the last axis of `x` by tables that broadcast against it."""
    swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(x * cosines, swapped, signed_sines)


class Mlp(nn.Module):
    """Linear, tanh-approximate GELU, Linear; keys `fc1` and `fc2`."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., width] to [..., out]."""
        out: Tensor = self.fc2(self.fc1.gelu(x))
        return out


class PatchEmbed(nn.Module):
    """Non-overlapping patch embedding; stored as a Conv3d (key `proj`), computed as one matrix product."""

    def __init__(self, config: STDiTConfig) -> None:
        super().__init__()
        patch = config.patch_size
        self.proj = nn.Conv3d(
            config.in_channels + config.given_channels, config.hidden_size, patch, stride=patch
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B,C_in,T,H,W] (sizes multiples of the patch) to tokens [B,T',S,C], columns fastest."""
        b, c, t, h, w = x.shape
        pt, ph, pw = self.proj.kernel_size
        x = x.view(b, c, t // pt, pt, h // ph, ph, w // pw, pw).permute(0, 2, 4, 6, 1, 3, 5, 7)
        return F.linear(
            x.reshape(b, t // pt, -1, c * pt * ph * pw), self.proj.weight.flatten(1), self.proj.bias
        )


class CaptionEmbedder(nn.Module):
    """Projects text-encoder features to the model width and holds the null caption in text-encoder space."""

    y_embedding: Tensor

    def __init__(self, caption_channels: int, hidden_size: int, num_tokens: int) -> None:
        super().__init__()
        self.y_proj = Mlp(caption_channels, hidden_size, hidden_size)
        null = torch.randn(num_tokens, caption_channels) / caption_channels**0.5
        self.register_buffer("y_embedding", null)

    def null(self, batch: int) -> Tensor:
        """Null caption features [batch, 1, L, caption_channels]."""
        return self.y_embedding[None, None].expand(batch, -1, -1, -1)

    def drop(self, y: Tensor, dropped_B: Tensor) -> Tensor:
        """Replace the captions [B,1,L,caption_channels] of the samples marked in bool [B] by the null caption."""
        return torch.where(dropped_B[:, None, None, None], self.y_embedding[: y.shape[2]].to(y.dtype), y)

    def forward(self, y: Tensor) -> Tensor:
        """Map [..., caption_channels] to [..., C]."""
        projected: Tensor = self.y_proj(y)
        return projected
