"""The embedded MotionCtrl: a video U-Net to whose encoder trajectory features are added at high noise levels."""

from __future__ import annotations

from torch import Tensor, nn

from ..unet.network import UNet
from .omcm import ObjectMotionControl


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
