"""Small networks of both designs with every weight drawn at random."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from baselines.dragnuwa.network import DragNUWANetwork
from baselines.motionctrl.network import MotionCtrlNetwork
from baselines.unet.config import tiny
from baselines.unet.network import UNet

CLASSES: dict[str, type[UNet]] = {"motionctrl": MotionCtrlNetwork, "dragnuwa": DragNUWANetwork}


@pytest.fixture
def make_network() -> Callable[..., UNet]:
    def make(design: str, trained: bool = True, **changes: object) -> UNet:
        torch.manual_seed(0)
        network = CLASSES[design](tiny(design, **changes)).eval()
        if trained:
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.1)
        return network

    return make
