"""Weights of Tora's embedded size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.models.shared.nano import checkpoint
from toraeval.models.shared.nano.checkpoint import save as save
from toraeval.models.shared.network.config import STDiTConfig, nano

if TYPE_CHECKING:
    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
    from toraeval.models.tora.network.model import ToraNetwork

NAME = "tora"
TRAIN_COMMAND = checkpoint.train_command(NAME)


def weights_path() -> Path:
    """Return where the shipped weights lie."""
    return checkpoint.weights_path(str(Path(__file__).parents[1]), NAME)


def load(path: Path, config: STDiTConfig | None = None) -> tuple[ToraNetwork, LinearPatchAutoencoder]:
    """Load weights strictly, see `checkpoint.load`; `config` replaces the `architecture` of the file's card."""

    from toraeval.models.tora.network.model import ToraNetwork

    def build(card: dict[str, Any]) -> ToraNetwork:
        if config is None and "architecture" in card:
            return ToraNetwork(checkpoint.architecture(card, path, NAME, STDiTConfig))
        return ToraNetwork(config or nano())

    return checkpoint.load(path, NAME, build)
