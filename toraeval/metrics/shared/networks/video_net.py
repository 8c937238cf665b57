"""The video network of `fvd_shapes`: 16 frames of 128x128 pixels to 64 features.

Single frames are looked at by the picture encoder of `clipsim_shapes`, which stays as it is; what joins frames is
trained to name what a clip of the world `shapes` shows (shapes, colours, background, drift, path, place, speed) and
how it was spoilt (blur, noise, dissolving, smearing, freezing, shuffled frames), so that the features hold both.

Legend of the shape suffixes: B clips, T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.metrics.shared.frames import SHAPES_SIDE
from toraeval.metrics.shared.networks.dual_encoder import ImageEncoder, Residual

FEATURES = 64


class TemporalMix(nn.Module):
    """Joins neighbouring frames by a convolution over time, with a residual connection.

    Args:
        channels: channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.norm = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU()

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Map float (B, C, T, H, W) to the same shape."""
        out: Tensor = self.relu(x_BCTHW + self.norm(self.mix(x_BCTHW)))
        return out


class VideoNet(nn.Module):
    """Picture encoder, convolutions inside and across frames, then means over places and times.

    Every frame's maps are given with their difference from the frame before, so that what stands still is zero. Objects
    cover little of a picture, so learned weightings of the places stand beside the plain mean; mean and spread over
    time of the picture encoder's own vectors join them.

    Args:
        width: channels of everything after the picture encoder.
        features: length of a clip's feature vector.
        looks: number of weightings.
    """

    places: Tensor

    def __init__(self, width: int = 96, features: int = FEATURES, looks: int = 3) -> None:
        super().__init__()
        self.pictures = ImageEncoder().requires_grad_(False)
        depth = sum(self.pictures.channels)
        self.enter = nn.Sequential(
            nn.Conv2d(2 * depth + 2, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            Residual(width),
        )
        self.pairs = nn.Sequential(
            nn.Conv3d(width, width, (2, 1, 1), stride=(2, 1, 1), bias=False), nn.BatchNorm3d(width), nn.ReLU()
        )
        self.first_mix = TemporalMix(width)
        self.second_block, self.third_block = Residual(width), Residual(width)
        self.second_mix, self.third_mix = TemporalMix(width), TemporalMix(width)
        self.weigh = nn.Conv3d(width, looks, 1)
        vector = self.pictures.project.out_features
        self.scale = vector**0.5  # unit vectors have small entries
        self.project = nn.Linear((looks + 1) * width + 2 * vector, features)
        line = torch.linspace(-1.0, 1.0, SHAPES_SIDE // 16)
        self.register_buffer(
            "places", torch.stack(torch.meshgrid(line, line, indexing="ij")), persistent=False
        )

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers but the picture encoder's, which keep their statistics."""
        super().train(mode)
        self.pictures.eval()
        return self

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """Return the features of clips.

        Args:
            clip_BTCHW: float (B, 16, 3, 128, 128) in [-1, 1].

        Returns:
            float (B, D), no unit.
        """
        b, t = clip_BTCHW.shape[:2]
        maps = self.pictures.maps(clip_BTCHW.flatten(0, 1))
        vectors = self.scale * self.pictures.vector(maps[-1]).view(b, t, -1)
        side = maps[-1].shape[-1]
        joined = torch.cat([F.avg_pool2d(each, each.shape[-1] // side) for each in maps], 1)
        joined = joined.reshape(b, t, -1, side, side)
        change = torch.diff(joined, dim=1, prepend=joined[:, :1])
        # a mean over places forgets where things are, so every place is given its coordinates
        places = self.places.to(joined.dtype).expand(b, t, -1, -1, -1)
        x = self.enter(torch.cat([joined, change, places], 2).flatten(0, 1))
        x = self.pairs(self.first_mix(_split(x, b)))
        x = self.second_mix(_split(self.second_block(_join(x)), b))
        x = self.third_mix(_split(self.third_block(_join(x)), b))
        weights = self.weigh(x).flatten(3).softmax(-1)
        seen = torch.einsum("bktp,bctp->bkct", weights, x.flatten(3)).mean(-1)
        parts = [seen.flatten(1), x.mean((2, 3, 4)), vectors.mean(1), vectors.std(1)]
        out: Tensor = self.project(torch.cat(parts, 1))
        return out


def _split(x_NCHW: Tensor, clips: int) -> Tensor:
    return x_NCHW.reshape(clips, -1, *x_NCHW.shape[1:]).transpose(1, 2)


def _join(x_BCTHW: Tensor) -> Tensor:
    return x_BCTHW.transpose(1, 2).flatten(0, 1)
