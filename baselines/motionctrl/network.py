"""The embedded MotionCtrl: a video U-Net to whose encoder trajectory features are added at high noise levels.

The features are those of the object motion control module (OMCM), whose structure is as published (arXiv 2312.03641,
section 3.3; TencentARC/MotionCtrl 6242d55): an input convolution, then two residual blocks per scale without norms,
frame by frame, each scale half as fine as the one before. The convolution that brings the features to the encoder's
width starts at zero, so that an untrained module changes nothing.
"""

from __future__ import annotations

from torch import Tensor, nn

from toraeval.models.shared.network.extractor import ResidualBlock
from toraeval.models.shared.network.fuser import zero_

from ..unet.blocks import stride_convs
from ..unet.config import UNetConfig
from ..unet.network import UNet

BLOCKS = 2


class ObjectMotionControl(nn.Module):
    """Map displacement maps to what is added to the encoder.

    Args:
        config: of the network.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        channels = config.motion_channels
        self.convs = stride_convs(config)
        self.body = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(c, batch_norm=False) for _ in range(BLOCKS))) for c in channels
        )
        self.out = nn.ModuleList(nn.Linear(c, w) for c, w in zip(channels, config.widths, strict=True))
        for layer in self.out:
            assert isinstance(layer, nn.Linear)
            zero_(layer)

    def forward(self, maps_BTHWC: Tensor) -> list[Tensor]:
        """Map (B, T, H, W, motion_in) to (B, T, h, w, width) of every level."""
        x, features = maps_BTHWC.flatten(0, 1), []
        for conv, body, out in zip(self.convs, self.body, self.out, strict=True):
            x = body(conv(x))
            features.append(out(x).unflatten(0, maps_BTHWC.shape[:2]))
        return features


class MotionCtrlNetwork(UNet):
    """`UNet` with the object motion control module of arXiv 2312.03641.

    Features are added after each encoder level, and only for samples whose noise level is `guided_above` or more: the
    places of objects are decided there, and later steps are left to the U-Net alone.
    """

    design = "motionctrl"
    null_keeps_paths = False

    def _motion_encoder(self) -> nn.Module:
        return ObjectMotionControl(self.config)

    def _guide(self, level: int, x: Tensor, motion: list[Tensor] | None, active_B: Tensor) -> Tensor:
        if motion is None:
            return x
        return x + motion[level] * active_B.view(-1, 1, 1, 1, 1).to(x.dtype)
