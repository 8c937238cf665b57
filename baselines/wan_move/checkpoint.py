"""Weights of the embedded Wan-Move, in the form of Tora nano's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from toraeval.models.tora.autoencoder.linear_patches import LinearPatchAutoencoder
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.network.config import STDiTConfig

from .network import WanMoveNetwork

NAME = "wan_move"


def weights_path() -> Path:
    """Return where the shipped weights lie."""
    return Path(__file__).with_name("weights") / f"{NAME}_nano.safetensors"


def save(path: Path, state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]) -> None:
    """Export weights, see `toraeval.models.tora.checkpoints.nano.save`."""
    checkpoint.save(path, state, vae, card)


def load(path: Path) -> tuple[WanMoveNetwork, LinearPatchAutoencoder]:
    """Load weights strictly; the card says the shape of the network.

    Raises:
        MissingAsset: the file does not exist.
        UserError: it is corrupt, belongs to another model, or its keys or shapes do not fit.
    """
    tensors, card = checkpoint.read(path, NAME)
    network = checkpoint.architecture(card, path, NAME, lambda **shape: WanMoveNetwork(STDiTConfig(**shape)))
    vae = LinearPatchAutoencoder(network.config.in_channels)
    checkpoint.fill(network, tensors, "dit.", path, NAME)
    checkpoint.fill(vae, tensors, "vae.", path, NAME)
    return network.eval().requires_grad_(False), vae.eval()
