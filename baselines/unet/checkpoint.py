"""Weights of the embedded rivals: one safetensors file with network, caption encoder and autoencoder, and a card.

The form is that of Tora nano's weights. Without weights the message names the command that trains them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from toraeval.models.shared.nano import checkpoint
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.types import UserError

from ..dragnuwa.network import DragNUWANetwork
from ..motionctrl.network import MotionCtrlNetwork
from .config import UNetConfig
from .network import UNet

PREFIX = "unet."
NETWORKS: dict[str, type[UNet]] = {"motionctrl": MotionCtrlNetwork, "dragnuwa": DragNUWANetwork}


def weights_path(name: str) -> Path:
    """Return where the shipped weights of a rival lie."""
    return checkpoint.weights_path(str(Path(__file__).parents[1] / name), name)


def save(path: Path, state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]) -> None:
    """Export weights: bfloat16 network, float32 autoencoder.

    Args:
        path: target file; its folder is created.
        state: state dict of the network.
        vae: fitted autoencoder.
        card: model card with the `architecture`, stored as JSON in the header and beside the file.
    """
    checkpoint.save(path, state, vae, card, PREFIX)


def load(path: Path, name: str | None = None) -> tuple[UNet, LinearPatchAutoencoder]:
    """Load weights strictly; the card says what network they belong to.

    Args:
        path: file written by `save`.
        name: the rival that is wanted; if not given, the one whose name the file carries.

    Returns:
        (network in eval mode with float32 weights, autoencoder).

    Raises:
        MissingAsset: the file does not exist.
        UserError: it is corrupt, belongs to another model, or its keys or shapes do not fit.
    """
    named = name or next((known for known in NETWORKS if known in path.name), next(iter(NETWORKS)))

    def build(card: dict[str, Any]) -> UNet:
        config = checkpoint.architecture(card, path, named, UNetConfig)
        if name is not None and config.design != name:
            raise UserError(f"{name}: {path} holds weights of {config.design}; give those of {name}")
        return NETWORKS[config.design](config)

    return checkpoint.load(path, named, build, PREFIX)
