"""The `motionctrl` generator."""

from __future__ import annotations

from toraeval.config.models import MotionCtrlConfig

from ..unet.rival import Rival


class MotionCtrl(Rival):
    """MotionCtrl (arXiv 2312.03641): an embedded U-Net with its trajectory features, or the authors' code.

    Args:
        options: fields of `toraeval.config.models.MotionCtrlConfig`.
    """

    name = "motionctrl"
    options_class = MotionCtrlConfig
    upstream = "motionctrl.upstream:UpstreamMotionCtrl"
    default_steps = (
        1  # chosen by `toraeval.training.recipes.choose_steps`, see docs/models/motionctrl_steps.csv
    )
