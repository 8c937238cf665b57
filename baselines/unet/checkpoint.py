"""Weights of the embedded rivals: one safetensors file with network, caption encoder and autoencoder, and a card.

The form is that of Tora nano's weights. Without weights the message names the command that trains them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.models.shared.nano import checkpoint
from toraeval.types import UserError

from .config import UNetConfig

if TYPE_CHECKING:
    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder

    from .network import UNet

PREFIX = "unet."


def weights_path(name: str) -> Path:
    """Return where the shipped weights of a rival lie."""
    return checkpoint.weights_path(str(Path(__file__).parents[1] / name), name)


save = partial(checkpoint.save, prefix=PREFIX)
"""Export weights, see `toraeval.models.shared.nano.checkpoint.save`."""


def load(path: Path, name: str | None = None) -> tuple[UNet, LinearPatchAutoencoder]:
    """Load weights strictly, see `checkpoint.load`; the card says what network they belong to.

    Args:
        path: file written by `save`.
        name: the rival that is wanted; if not given, the one whose name the file carries.

    Raises:
        UserError: besides, the file belongs to another model.
    """
    from ..dragnuwa.network import DragNUWANetwork
    from ..motionctrl.network import MotionCtrlNetwork

    networks: dict[str, type[UNet]] = {"motionctrl": MotionCtrlNetwork, "dragnuwa": DragNUWANetwork}
    named = name or next((known for known in networks if known in path.name), next(iter(networks)))

    def build(card: dict[str, Any]) -> UNet:
        config = checkpoint.architecture(card, path, named, UNetConfig)
        if name is not None and config.design != name:
            raise UserError(f"{name}: {path} holds weights of {config.design}; give those of {name}")
        return networks[config.design](config)

    return checkpoint.load(path, named, build, PREFIX)
