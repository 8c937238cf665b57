"""The embedded DragNUWA: a video U-Net whose encoder and decoder see the flow maps through adaptive norms."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ..unet.blocks import Fuse
from ..unet.config import UNetConfig
from ..unet.network import UNet
from .fusion import FlowFusion, FlowPyramid


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
