"""Trajectory Extractor (TE): motion latents to one feature map per pair of blocks.

Structure and parameter names follow alibaba/Tora 9a23dce (`traj_extractor.*`), described
in arXiv 2407.21705 section 3.2 as hierarchical spacetime motion patches: space-to-depth,
a convolution, then residual blocks; the feature after stage i serves block pair i.

Legend: B batch, T latent frames, S tokens per frame, C latent channels, M motion channels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.network.fuser import conv3x3


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), all 3 x 3 and channels-last."""

    def __init__(self, channels: int, batch_norm: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels) if batch_norm else None
        self.block1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels) if batch_norm else None
        self.block2 = nn.Conv2d(channels, channels, 3, padding=1)
        for conv in (self.block1, self.block2):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x_NHWM: Tensor) -> Tensor:
        """Map (N, H, W, M) to the same shape."""
        hidden = conv3x3(F.relu(_norm(x_NHWM, self.bn1)), self.block1)
        return x_NHWM + conv3x3(F.relu(_norm(hidden, self.bn2)), self.block2)


def _norm(x: Tensor, norm: nn.BatchNorm2d | None) -> Tensor:
    return x if norm is None else norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class TrajectoryExtractor(nn.Module):
    """Turn motion latents into `stages` feature maps.

    Args:
        latent_channels: C of the autoencoder.
        channels: M of the features.
        stages: number of feature maps, one per pair of blocks.
        blocks_per_stage: residual blocks in each stage (2 upstream).
        patch: side of the space-to-depth patch.
        patch_t: latent frames in a patch (1 on CogVideoX 1.0).
        batch_norm: batch normalisation inside the blocks, as upstream.
    """

    def __init__(
        self,
        latent_channels: int,
        channels: int,
        stages: int,
        blocks_per_stage: int = 2,
        patch: int = 2,
        batch_norm: bool = True,
        patch_t: int = 1,
    ) -> None:
        super().__init__()
        self.patch, self.patch_t, self.blocks_per_stage = patch, patch_t, blocks_per_stage
        self.conv_in = nn.Conv2d(latent_channels * patch_t * patch * patch, channels, 3, padding=1)
        self.body = nn.ModuleList(
            ResidualBlock(channels, batch_norm) for _ in range(stages * blocks_per_stage)
        )

    def forward(self, latents_BCTHW: Tensor) -> list[Tensor]:
        """Map motion latents (B, C, T, H, W) to a list of (B, T', S, M), rows first.

        Time, H and W are padded at their ends to whole patches; T' is the number of patches in time.
        """
        p, q = self.patch, self.patch_t
        t, h, w = latents_BCTHW.shape[2:]
        latents = F.pad(latents_BCTHW, (0, -w % p, 0, -h % p, 0, -t % q))
        b, c, t, h, w = latents.shape
        cells = latents.view(b, c, t // q, q, h // p, p, w // p, p).permute(0, 2, 4, 6, 1, 3, 5, 7)
        t //= q
        x = conv3x3(cells.reshape(b * t, h // p, w // p, c * q * p * p), self.conv_in)
        features = []
        for index, block in enumerate(self.body):
            x = block(x)
            if (index + 1) % self.blocks_per_stage == 0:
                features.append(x.reshape(b, t, -1, x.shape[-1]))
        return features
