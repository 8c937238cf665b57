"""The network of AllTracker: dense flow from the first frame to every other one, refined window by window.

Harley et al., "AllTracker: Efficient Dense Point Tracking at High Resolution", arXiv 2506.07310; layout and names of
the weights as in aharley/alltracker@c1ed462, `nets/alltracker.py` and `nets/blocks.py`. Written for inference;
correlations are made frame by frame, so that memory does not grow with the clip.

Shape legend: S frames of a window, C channels, H and W at an eighth of the picture's size unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.trackers.shared.alltracker_blocks import STRIDE, ConvNeXt, PictureEncoder, SpaceBlock, TimeStack

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class AllTrackerConfig:
    """Sizes of the network; the defaults are those of the published weights, `tiny` those of the smaller ones."""

    tiny: bool = False
    window: int = 16
    dim: int = 128
    levels: int = 5
    radius: int = 4
    blocks: int = 3
    heads: int = 8
    stages: tuple[tuple[int, int], ...] = ((96, 3), (192, 3), (384, 9))


class _Motion(nn.Module):
    def __init__(self, correlations: int, dim: int) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(correlations, 4 * dim, 1)
        self.convc2 = nn.Conv2d(4 * dim, dim + dim // 2, 3, padding=1)
        self.convf1 = nn.Conv2d(2, 2 * dim, 5, padding=2)
        self.convf2 = nn.Conv2d(2 * dim, dim // 2, 3, padding=1)
        self.conv = nn.Conv2d(2 * dim, dim - 2, 3, padding=1)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        seen = F.relu(self.convc2(F.relu(self.convc1(correlation))))
        moved = F.relu(self.convf2(F.relu(self.convf1(flow))))
        return torch.cat([F.relu(self.conv(torch.cat([seen, moved], 1))), flow], 1)


class _Update(nn.Module):
    def __init__(self, c: AllTrackerConfig) -> None:
        super().__init__()
        self.motion_encoder = _Motion(c.levels * (2 * c.radius + 1) ** 2, c.dim)
        self.compressor = nn.Conv2d(3 * c.dim + 2, c.dim, 1)
        pairs = [block for _ in range(c.blocks) for block in (TimeStack(c.dim, c.heads), SpaceBlock(c.dim))]
        self.refine = nn.ModuleList(pairs)
        self.final_conv = nn.Conv2d(c.dim, c.dim, 1)

    def forward(
        self, state: Tensor, context: Tensor, seen: Tensor, correlation: Tensor, flow: Tensor
    ) -> Tensor:
        frames = len(flow)
        x = self.compressor(torch.cat([state, context, self.motion_encoder(flow, correlation), seen], 1))
        for block in self.refine:
            x = block(x, frames)
        out: Tensor = self.final_conv(x)
        return out


def _head(dim: int, out: int, kernel: int = 3) -> nn.Sequential:
    last = nn.Conv2d(2 * dim, out, kernel, padding=kernel // 2)
    return nn.Sequential(nn.Conv2d(dim, 2 * dim, 3, padding=1), nn.ReLU(), last)


class AllTrackerNetwork(nn.Module):
    """The tracker network; `windows` gives the flow of a clip, window after window."""

    time_emb: Tensor

    def __init__(self, config: AllTrackerConfig = AllTrackerConfig()) -> None:
        super().__init__()
        self.config = c = config
        if c.tiny:
            self.fnet = PictureEncoder(c.dim)
        else:
            self.cnn = ConvNeXt(c.stages)
            self.dot_conv = nn.Conv2d(c.stages[-1][0], 2 * c.dim, 1)
        self.upsample_weight = _head(c.dim, STRIDE**2 * 9, 1)
        self.flow_head = _head(c.dim, 2)
        self.visconf_head = _head(c.dim, 2)
        self.update_block = _Update(c)
        self.register_buffer("time_emb", torch.zeros(1, c.window, c.dim))

    def windows(self, clip_T3HW: Tensor, iterations: int = 4) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield the flow from frame 0 to those after it, at the picture's size.

        Args:
            clip_T3HW: RGB in 0..255, T at least 2, sides divisible by 64.
            iterations: refinements of each window.

        Yields:
            First frame, flow (S, 2, H, W) in pixels, and visibility and confidence (S, 2, H, W) in 0..1.
        """
        total, window, half = len(clip_T3HW), self.config.window, self.config.window // 2
        anchor = self.features(clip_T3HW[:1])
        if total == 2:
            flow, seen, _ = self._refine(anchor, self.features(clip_T3HW[1:]), None, None, iterations)
            yield 1, flow, seen
            return
        starts = [*range(0, max(total - window, 0), half)]
        starts.append(starts[-1] + half if starts else 0)
        coarse: tuple[Tensor | None, Tensor | None] = (None, None)
        features = anchor[:0]
        for index, start in enumerate(starts):
            begin = start if index == 0 else start + half
            needed = torch.arange(begin, start + window).clamp(max=total - 1)  # the last frame stands still
            features = torch.cat([features[half:], self.features(clip_T3HW[needed])])
            before_flow, before_seen = (None if x is None else _handed_on(x, half) for x in coarse)
            flow, seen, coarse = self._refine(anchor, features, before_flow, before_seen, iterations)
            fresh = slice(begin - start, min(window, total - start))
            yield begin, flow[fresh], seen[fresh]

    def features(self, pictures_S3HW: Tensor) -> Tensor:
        """Return features (S, C, H, W) of pictures in 0..255, one picture at a time."""
        mean, std = (pictures_S3HW.new_tensor(x)[:, None, None] for x in (MEAN, STD))
        found = [
            self.fnet(x) if self.config.tiny else self.dot_conv(self.cnn(x))
            for x in torch.split((pictures_S3HW / 255 - mean) / std, 1)
        ]
        return torch.cat(found)

    def _refine(
        self, anchor: Tensor, features: Tensor, flow: Tensor | None, seen: Tensor | None, iterations: int
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        frames, _, height, width = features.shape
        zero = features.new_zeros(frames, 2, height, width)
        flow, seen = zero if flow is None else flow, zero if seen is None else seen
        dim = self.config.dim
        state, context = (anchor, anchor) if self.config.tiny else torch.split(anchor, dim, dim=1)
        state = state.expand(frames, -1, -1, -1)
        times = self.time_emb[0, 1:2] if frames == 1 else self.time_emb[0]
        context = context + times[:, :, None, None]
        rows, columns = (
            torch.arange(n, device=features.device, dtype=features.dtype) for n in (height, width)
        )
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        grid = torch.stack([x, y])
        weights = zero
        for _ in range(iterations):
            pairs = zip(features, grid + flow, strict=True)
            correlation = torch.stack(
                [self._correlation(anchor[0], other, places) for other, places in pairs]
            )
            state = self.update_block(state, context, seen, correlation, flow)
            flow, seen = flow + self.flow_head(state), seen + self.visconf_head(state)
            weights = 0.25 * self.upsample_weight(state)
        full, shown = _enlarged(flow, weights), _enlarged(seen, weights)
        return full, torch.sigmoid(shown), (flow, seen)

    def _correlation(self, anchor_CHW: Tensor, other_CHW: Tensor, places_2HW: Tensor) -> Tensor:
        """Return how alike every place of frame 0 is to those around `places` in another frame, at several sizes."""
        radius = self.config.radius
        channels, height, width = anchor_CHW.shape
        step = torch.linspace(-radius, radius, 2 * radius + 1, device=places_2HW.device)
        # the first axis moves x, as in RAFT, whose weights' order this is
        around = torch.stack(torch.meshgrid(step, step, indexing="ij"), dim=-1)
        centres = places_2HW.flatten(1).T[:, None, None]
        found = []
        for level in range(self.config.levels):
            size = other_CHW.shape[1:]
            alike = anchor_CHW.flatten(1).T @ other_CHW.flatten(1) / math.sqrt(channels)
            scale = places_2HW.new_tensor([2 / max(size[1] - 1, 1), 2 / max(size[0] - 1, 1)])
            asked = (centres / 2**level + around) * scale - 1
            sampled = F.grid_sample(
                alike.reshape(-1, 1, *size), asked, padding_mode="border", align_corners=True
            )
            found.append(sampled.reshape(height, width, -1))
            if level + 1 < self.config.levels:
                other_CHW = F.interpolate(other_CHW[None], scale_factor=0.5, mode="area")[0]
        return torch.cat(found, dim=-1).permute(2, 0, 1)


def _handed_on(values_S: Tensor, half: int) -> Tensor:
    """Return the start of a window from the second half of the one before; its last frame stands for those unseen."""
    return torch.cat([values_S[half:], values_S[-1:].expand(half, -1, -1, -1)])


def _enlarged(values_S2HW: Tensor, weights: Tensor) -> Tensor:
    """Return values at the picture's size: for each pixel a weighted mean of 9 places around it, times the stride."""
    frames, _, height, width = values_S2HW.shape
    share = weights.reshape(frames, 1, 9, STRIDE, STRIDE, height, width).softmax(dim=2)
    around = F.unfold(STRIDE * values_S2HW, 3, padding=1).reshape(frames, 2, 9, 1, 1, height, width)
    mixed = (share * around).sum(dim=2).permute(0, 1, 4, 2, 5, 3)
    return mixed.reshape(frames, 2, STRIDE * height, STRIDE * width)
