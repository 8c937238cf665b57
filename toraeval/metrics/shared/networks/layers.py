"""Convolution blocks that the embedded metric networks share.

Legend of the shape suffixes: B pictures, C channels, H height, W width.
"""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3x3 convolutions with a residual connection.

    Args:
        channels: channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.relu = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map float (B, C, H, W) to the same shape."""
        out: Tensor = self.relu(x_BCHW + self.body(x_BCHW))
        return out


def stem(channels: int, patch: int = 4) -> nn.Sequential:
    """Return layers that turn RGB (B, 3, H, W) into (B, channels, H / patch, W / patch)."""
    return nn.Sequential(
        nn.PixelUnshuffle(patch),
        nn.Conv2d(3 * patch**2, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def halve(channels: int, wider: int) -> nn.Sequential:
    """Return layers that halve height and width and change the number of channels."""
    return nn.Sequential(
        nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()
    )
