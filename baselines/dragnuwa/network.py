"""The embedded DragNUWA: a video U-Net whose encoder and decoder see the flow maps through adaptive norms.

Multi-scale fusion as published in DragNUWA 1.5 (arXiv 2308.08089, section 3.2; bensonbs/DragNUWA-Fork 428bf91): a
pyramid of the flow maps by strided convolutions with a convolution along time, group norm of 8 groups and SiLU per
scale; in the first residual block of each level h + norm(h) * gamma + beta. That formula is also Tora's, which took it
over, so its layers are used.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.network.fuser import AdaptiveNormFuser, time_columns

from ..unet.blocks import Fuse, GroupNorm, group_norm, stride_convs
from ..unet.config import UNetConfig
from ..unet.network import UNet

PYRAMID_GROUPS = 8


class FlowPyramid(nn.Module):
    """Map displacement maps to one feature map per level.

    Args:
        config: of the network.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        channels = config.motion_channels
        self.convs = stride_convs(config)
        self.times = nn.ModuleList(nn.Linear(3 * c, c) for c in channels)
        self.norms = nn.ModuleList(GroupNorm(PYRAMID_GROUPS, c) for c in channels)

    def forward(self, maps_BTHWC: Tensor) -> list[Tensor]:
        """Map (B, T, H, W, motion_in) to (B, T, h, w, motion_channels) of every level."""
        x, features = maps_BTHWC.flatten(0, 1), []
        for conv, time, norm in zip(self.convs, self.times, self.norms, strict=True):
            mixed = time(time_columns(conv(x).unflatten(0, maps_BTHWC.shape[:2])))
            x = F.silu(norm(mixed.flatten(0, 1)))
            features.append(x.unflatten(0, maps_BTHWC.shape[:2]))
        return features


class FlowFusion(AdaptiveNormFuser):
    """Adaptive norm of one residual block, normalised by groups over the whole frame.

    Args:
        motion_channels: channels M of the flow features.
        width: channels C of the block.
        groups: groups of the norm.
    """

    def __init__(self, motion_channels: int, width: int, groups: int) -> None:
        super().__init__(motion_channels, width, groups=0)
        self.norm_groups = groups
        self.norm_weight = nn.Parameter(self.flow_gamma_temporal.bias.new_ones(width))
        self.norm_bias = nn.Parameter(self.flow_gamma_temporal.bias.new_zeros(width))

    def apply_to(self, x_BTHWC: Tensor, motion_BTHWM: Tensor) -> Tensor:
        """Fuse flow features into hidden states (B, T, H, W, C) of the same size."""
        grid = (x_BTHWC.shape[2], x_BTHWC.shape[3])
        return self(x_BTHWC.flatten(2, 3), motion_BTHWM.flatten(2, 3), grid).view_as(x_BTHWC)

    def _normalise(self, x: Tensor) -> Tensor:
        return group_norm(x.flatten(0, 1)[:, None], self.norm_groups, self.norm_weight, self.norm_bias)[
            :, 0
        ].view_as(x)


class DragNUWANetwork(UNet):
    """`UNet` with the multi-scale fusion of arXiv 2308.08089, at all noise levels."""

    design = "dragnuwa"
    null_keeps_paths = True

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        sizes = list(zip(config.motion_channels, config.widths, strict=True))
        self.encoder_fusions = nn.ModuleList(FlowFusion(m, w, config.groups) for m, w in sizes)
        self.decoder_fusions = nn.ModuleList(FlowFusion(m, w, config.groups) for m, w in sizes)

    def _motion_encoder(self) -> nn.Module:
        return FlowPyramid(self.config)

    def _fusion(self, level: int, decoder: bool, motion: list[Tensor] | None) -> Fuse | None:
        if motion is None:
            return None
        fusion = (self.decoder_fusions if decoder else self.encoder_fusions)[level]
        assert isinstance(fusion, FlowFusion)
        return partial(fusion.apply_to, motion_BTHWM=motion[level])
