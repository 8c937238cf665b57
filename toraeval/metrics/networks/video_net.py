"""The video network of `fvd_shapes`: 16 frames of 64x64 pixels to 64 features.

Trained to name what a clip of the world `shapes` shows (shapes, colours, background, drift, path, place, speed) and how
it was spoilt (blur, noise, dissolving, smearing, freezing, shuffled frames), so that its features hold both.

Legend of the shape suffixes: B clips, T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toraeval.metrics.networks.layers import Residual, halve, stem

FRAMES = 16
SIDE = 64
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
    """Convolutions inside frames, then across frames, then a mean over places and times.

    Args:
        width: channels at 16x16; twice as many at 8x8.
        features: length of a clip's feature vector.
    """

    places: Tensor

    def __init__(self, width: int = 48, features: int = FEATURES) -> None:
        super().__init__()
        wide = 2 * width
        self.frame = nn.Sequential(stem(width), Residual(width), halve(width, wide))
        self.enter = nn.Sequential(
            nn.Conv2d(wide + 2, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(), Residual(wide)
        )
        self.pairs = nn.Sequential(
            nn.Conv3d(wide, wide, (2, 1, 1), stride=(2, 1, 1), bias=False), nn.BatchNorm3d(wide), nn.ReLU()
        )
        self.first_mix = TemporalMix(wide)
        self.second_block, self.third_block = Residual(wide), Residual(wide)
        self.second_mix, self.third_mix = TemporalMix(wide), TemporalMix(wide)
        self.project = nn.Linear(wide, features)
        line = torch.linspace(-1.0, 1.0, SIDE // 8)
        self.register_buffer(
            "places", torch.stack(torch.meshgrid(line, line, indexing="ij")), persistent=False
        )

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """Return the features of clips.

        Args:
            clip_BTCHW: float (B, 16, 3, 64, 64) in [-1, 1].

        Returns:
            float (B, D), no unit.
        """
        b, t = clip_BTCHW.shape[:2]
        x = self.frame(clip_BTCHW.flatten(0, 1))
        # a mean over places forgets where things are, so every place is told its coordinates
        places = self.places.to(x.dtype).expand(b * t, -1, -1, -1)
        x = self.enter(torch.cat([x, places], 1))
        x = self.pairs(self.first_mix(_split(x, b)))
        x = self.second_mix(_split(self.second_block(_join(x)), b))
        x = self.third_mix(_split(self.third_block(_join(x)), b))
        out: Tensor = self.project(x.mean((2, 3, 4)))
        return out


def _split(x_NCHW: Tensor, clips: int) -> Tensor:
    return x_NCHW.reshape(clips, -1, *x_NCHW.shape[1:]).transpose(1, 2)


def _join(x_BCTHW: Tensor) -> Tensor:
    return x_BCTHW.transpose(1, 2).flatten(0, 1)
