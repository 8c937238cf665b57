"""The `motionctrl` generator."""

from __future__ import annotations

from dataclasses import dataclass

from ..process.runner import UpstreamOptions
from ..unet.generator import RivalOptions
from ..unet.rival import Rival


@dataclass
class MotionCtrlOptions(RivalOptions, UpstreamOptions):
    """Options of `model=motionctrl`; its own ones are for size=upstream.

    Attributes:
        eta: noise of the DDIM sampler, 0 (deterministic) to 1.
        cond_t: trajectory features act while the step of 1000 is at least this.
    """

    eta: float = 1.0
    cond_t: int = 800


class MotionCtrl(Rival):
    """MotionCtrl (arXiv 2312.03641): an embedded U-Net with its trajectory features, or the authors' code.

    Args:
        options: fields of `MotionCtrlOptions`.
    """

    name = "motionctrl"
    options_class = MotionCtrlOptions
    upstream = "motionctrl.upstream:UpstreamMotionCtrl"
    default_steps = 1  # chosen by `train task=steps`, see docs/models/motionctrl_steps.csv
