"""Weights of the embedded Wan-Move, in the form of all embedded models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.models.shared.nano import checkpoint
from toraeval.models.shared.nano.checkpoint import save as save
from toraeval.models.shared.network.config import STDiTConfig

if TYPE_CHECKING:
    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder

    from .network import WanMoveNetwork

NAME = "wan_move"


def weights_path() -> Path:
    """Return where the shipped weights lie."""
    return checkpoint.weights_path(str(Path(__file__).parent), NAME)


def load(path: Path) -> tuple[WanMoveNetwork, LinearPatchAutoencoder]:
    """Load weights strictly, see `checkpoint.load`; the card says the shape of the network."""
    from .network import WanMoveNetwork

    return checkpoint.load(
        path,
        NAME,
        lambda card: checkpoint.architecture(
            card, path, NAME, lambda **shape: WanMoveNetwork(STDiTConfig(**shape))
        ),
    )
