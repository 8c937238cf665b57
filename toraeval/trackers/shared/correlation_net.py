"""The network of `shapes_tracker`: find a point's look anywhere in each frame, then agree over time.

1. A small convolutional net gives every frame two maps of unit features, at 1/2 and 1/4 of the raster.
2. Nine descriptors are read around the query in the first frame. Their correlation with the whole
   coarse map becomes a heat map; its peak is the first estimate (as in TAPIR, arXiv 2306.08637).
3. A few rounds: the correlations of all nine descriptors with a window around the estimate (as in
   CoTracker3, arXiv 2410.11831) become one token per frame; tokens of one point exchange over a
   band of neighbouring frames and say how to move the estimate and whether the point is seen.

Shape legend: B clips, N points of each, T frames, C channels, K descriptors. Points are pixels of
the raster, pixel centres at integers. Points never see each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOVE = 8.0  # farthest move of a round, raster pixels: the windows see no farther


@dataclass(frozen=True)
class NetConfig:
    """Sizes of the network.

    Attributes:
        raster: side of the square picture it sees, pixels; a multiple of 4.
        fine, coarse: channels of the maps at 1/2 and 1/4 of the raster.
        blocks: residual blocks on the coarse map.
        width, layers, heads: of the transformer over time.
        fine_radius, coarse_radius: reach of the windows, cells of their map.
        descriptor_step: distance between the 3 x 3 descriptors, cells of their map.
        band: frames that a token looks back and ahead.
        rounds: updates of the estimate.
    """

    raster: int = 128
    fine: int = 32
    coarse: int = 64
    blocks: int = 2
    width: int = 128
    layers: int = 2
    heads: int = 4
    fine_radius: int = 3
    coarse_radius: int = 2
    descriptor_step: float = 1.5
    band: int = 8
    rounds: int = 3


class Estimate(NamedTuple):
    """One round's answer: points (B, N, T, 2) in raster pixels, logits (B, N, T) of being seen."""

    points: Tensor
    seen: Tensor


class Output(NamedTuple):
    """Heat-map logits (B, N, T, h, w) on the coarse map, and the estimates from the first to the last."""

    heat: Tensor
    estimates: list[Estimate]


class FeatureEncoder(nn.Module):
    """Two maps of unit feature vectors; every cell is centred on the pixels it covers."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        fine, coarse = config.fine, config.coarse
        self.stem = nn.Conv2d(3, fine, 4, stride=2, padding=1)
        self.near = nn.Conv2d(fine, fine, 1)
        self.down = nn.Conv2d(fine, coarse, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(4, coarse),
                nn.ReLU(),
                nn.Conv2d(coarse, coarse, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(coarse, coarse, 3, padding=1),
            )
            for _ in range(config.blocks)
        )
        self.to_coarse = nn.Conv2d(coarse, coarse, 1)
        self.to_fine = nn.Conv2d(coarse, fine, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps (M, fine, H/2, W/2) and (M, coarse, H/4, W/4) of frames (M, 3, H, W) in [-1, 1]."""
        x = F.relu(self.stem(frames))
        near = x + self.near(x)
        y = self.down(F.relu(near))
        for block in self.blocks:
            y = y + block(y)
        wide = F.interpolate(self.to_fine(y), scale_factor=2, mode="bilinear", align_corners=False)
        return F.normalize(near + wide, dim=1), F.normalize(self.to_coarse(y), dim=1)


class TimeBlock(nn.Module):
    """Self-attention over a band of frames with a learned weight for each time difference, then an MLP."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.heads, self.band = config.heads, config.band
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.bias = nn.Parameter(torch.zeros(config.heads, 2 * config.band + 1))
        self.mlp = nn.Sequential(
            nn.Linear(config.width, 3 * config.width), nn.GELU(), nn.Linear(3 * config.width, config.width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (M, T, width) after attention over time."""
        m, t, width = x.shape
        apart = torch.arange(t, device=x.device)[None] - torch.arange(t, device=x.device)[:, None]
        bias = self.bias[:, apart.clamp(-self.band, self.band) + self.band]
        bias = bias.masked_fill(apart.abs() > self.band, float("-inf"))
        q, k, v = self.qkv(self.norm1(x)).reshape(m, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].to(q.dtype))
        x = x + self.out(mixed.transpose(1, 2).reshape(m, t, width))
        return x + self.mlp(self.norm2(x))


class CorrelationTracker(nn.Module):
    """The whole network; see the module's text.

    Args:
        config: sizes.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = FeatureEncoder(config)
        self.sharpness = nn.Parameter(torch.tensor(8.0))
        self.heat = nn.Sequential(nn.Conv2d(9, 24, 5, padding=2), nn.ReLU(), nn.Conv2d(24, 1, 3, padding=1))
        windows = (2 * config.fine_radius + 1) ** 2 + (2 * config.coarse_radius + 1) ** 2
        self.read = nn.Sequential(nn.Linear(9 * windows + 10, 2 * config.width), nn.GELU())
        self.token = nn.Linear(2 * config.width, config.width)
        self.blocks = nn.ModuleList(TimeBlock(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, frames: Tensor, queries: Tensor) -> Output:
        """Track.

        Args:
            frames: (B, T, 3, raster, raster) in [-1, 1].
            queries: (B, N, 2) pixels of the raster in frame 0.
        """
        return self.locate(self.encode(frames), queries)

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return both feature maps (B, T, C, h, w) of frames; the costly part, safe in bfloat16."""
        pictures = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        fine, coarse = self.encoder(pictures)
        return fine.unflatten(0, frames.shape[:2]), coarse.unflatten(0, frames.shape[:2])

    def locate(self, maps: tuple[Tensor, Tensor], queries: Tensor) -> Output:
        """Track through feature maps; places need float32."""
        looks = [self._descriptors(m[:, 0], queries) for m in maps]
        correlation = torch.einsum("bnkc,btchw->bntkhw", looks[1], maps[1])
        heat = self._heat(correlation)
        points, peak = self._peak(heat)
        points = torch.cat([queries[:, :, None], points[:, :, 1:]], 2)
        estimates = [Estimate(points, peak)]
        first = points
        for _ in range(self.config.rounds):
            # every round's error is judged by itself, so no gradient runs back through the places
            points, seen = estimates[-1].points.detach(), estimates[-1].seen
            tokens = self._tokens(maps, looks, points, first, seen, peak)
            for block in self.blocks:
                tokens = block(tokens)
            change = self.head(tokens).unflatten(0, points.shape[:2])
            moved = points + MOVE * torch.tanh(change[..., :2])
            moved = torch.cat([queries[:, :, None], moved[:, :, 1:]], 2)
            estimates.append(Estimate(moved, seen + change[..., 2]))
        return Output(heat, estimates)

    def _descriptors(self, features: Tensor, queries: Tensor) -> Tensor:
        """Return (B, N, 9, C) features in a 3 x 3 grid around the queries."""
        offsets = _grid(1, queries) * self.config.descriptor_step
        return _sample(features, self._cells(queries, features)[:, :, None] + offsets)

    def _heat(self, correlation: Tensor) -> Tensor:
        b, n, t, _, height, width = correlation.shape
        scaled = self.sharpness * correlation
        heat = self.heat(scaled.flatten(0, 2)).view(b, n, t, height, width)
        return heat + scaled.mean(3)

    def _peak(self, heat: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean place near the highest cell (raster pixels), and how far the cell stands out."""
        height, width = heat.shape[-2:]
        flat = heat.flatten(-2)
        top = flat.argmax(-1)
        cells = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1)
        cells = cells.flatten(0, 1).to(heat)
        near = (cells - cells[top][..., None, :]).abs().amax(-1) <= 2.0
        weights = torch.softmax(flat.masked_fill(~near, float("-inf")), -1)
        scale = self.config.raster / width
        points = (weights @ cells + 0.5) * scale - 0.5
        return points, flat.log_softmax(-1).amax(-1) + 2.0

    def _tokens(
        self,
        maps: tuple[Tensor, Tensor],
        looks: list[Tensor],
        points: Tensor,
        first: Tensor,
        seen: Tensor,
        peak: Tensor,
    ) -> Tensor:
        b, t = points.shape[0], points.shape[2]
        parts = []
        radii = (self.config.fine_radius, self.config.coarse_radius)
        for features, look, radius in zip(maps, looks, radii, strict=True):
            places = self._cells(points, features)[:, :, :, None] + _grid(radius, points)
            window = places.transpose(1, 2).flatten(0, 1)  # (B T, N, window, 2)
            met = _sample(features.flatten(0, 1), window)
            met = met.view(b, t, *met.shape[1:])
            parts.append(torch.einsum("btnwc,bnkc->bntwk", met, look).flatten(-2) * self.sharpness)
        before = F.pad(points[:, :, 1:] - points[:, :, :-1], (0, 0, 1, 0)) / 4.0
        after = F.pad(points[:, :, 1:] - points[:, :, :-1], (0, 0, 0, 1)) / 4.0
        border = torch.stack([points.amin(-1), self.config.raster - 1 - points.amax(-1)], -1)
        parts += [before, after, (first - points).clamp(-16, 16) / 4.0, border.clamp(max=16.0) / 8.0]
        tokens = self.token(self.read(torch.cat([*parts, torch.stack([seen, peak], -1)], -1)))
        return tokens.flatten(0, 1)

    def _cells(self, points: Tensor, features: Tensor) -> Tensor:
        """Return raster pixels as cells of a map."""
        return (points + 0.5) * (features.shape[-1] / self.config.raster) - 0.5


def _grid(radius: int, like: Tensor) -> Tensor:
    """Return ((2 r + 1)^2, 2) whole-cell offsets."""
    steps = torch.arange(-radius, radius + 1, device=like.device, dtype=like.dtype)
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).flatten(0, 1)


def _sample(features: Tensor, cells: Tensor) -> Tensor:
    """Return (M, ..., C) bilinear values of maps (M, C, H, W) at cells (M, ..., 2); zero outside."""
    height, width = features.shape[-2:]
    size = torch.tensor([width, height], device=cells.device, dtype=cells.dtype)
    grid = ((cells + 0.5) * 2 / size - 1).flatten(1, -2)[:, :, None]
    values = F.grid_sample(features, grid, align_corners=False)
    return values[..., 0].transpose(1, 2).reshape(*cells.shape[:-1], -1)
