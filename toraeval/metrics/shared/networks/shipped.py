"""Weights of the embedded metric networks: where they lie, what they are, and loading them strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.assets import require_numbers
from toraeval.metrics.shared.networks.weight_sources import readable
from toraeval.store.keys import current_sha256
from toraeval.types import MissingAsset, UserError

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).parents[1] / "weights"
NETS = ("video", "clip")
# Raised when a network's layers or preprocessing change, so that older weights are refused.
NET_VERSION = "1"


def weights_file(net: str) -> Path:
    """Return where the weights of `video` or `clip` lie."""
    return WEIGHTS / f"shapes_{net}.safetensors"


def train_command(net: str) -> str:
    """Return the command that makes the weights of a network."""
    return f"python -m toraeval train model=shapes_{net}"


def require_weights(net: str, file: Path | None = None) -> Path:
    """Return the weight file of a network.

    Args:
        net: `video` or `clip`.
        file: the user's own file, or None for the one in the package.

    Raises:
        MissingAsset: there is no such file, with the command that makes it.
    """
    path = file or weights_file(net)
    if not path.is_file():
        raise MissingAsset(f"shapes {net} network: {path} is missing; make it with: {train_command(net)}")
    return path


def fingerprint(net: str, file: Path | None = None) -> dict[str, Any]:
    """Return what identifies a network: its version and the hash of its weights.

    Raises:
        MissingAsset: no weights.
    """
    path = require_weights(net, file)
    sha256 = current_sha256(path)
    return {"net": f"shapes_{net}", "net_version": NET_VERSION, "weights_sha256": sha256}


def build(net: str, card: dict[str, Any]) -> nn.Module:
    """Return an untrained network; `card` holds the `words` of the dual encoder.

    Raises:
        UserError: unknown network.
    """
    if net not in NETS:
        raise UserError(f"unknown metric network '{net}'; allowed: {', '.join(NETS)}")
    from toraeval.metrics.shared.networks.dual_encoder import DualEncoder
    from toraeval.metrics.shared.networks.video_net import VideoNet

    return VideoNet() if net == "video" else DualEncoder(card["words"])


def load(net: str, file: Path | None = None) -> nn.Module:
    """Return a network with its weights, ready for scoring on the CPU in float32.

    Raises:
        MissingAsset: no weights.
        UserError: a damaged file, one of another version, or one with other tensors or numbers that are not finite.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    path = require_weights(net, file)
    what, cure = f"shapes {net} network", f"make it again with: {train_command(net)}"
    require_numbers([path], what, cure)
    with readable(f"{what}: {path} does not fit version {NET_VERSION}", cure, SafetensorError):
        with safe_open(str(path), "pt") as stored:
            card = json.loads((stored.metadata() or {})["card"])
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if card["net"] != net or card["net_version"] != NET_VERSION:
            raise ValueError(f"it holds network {card['net']} version {card['net_version']}")
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise ValueError("it holds NaN or infinite numbers")
        network = build(net, card)
        network.load_state_dict(state)
    return network.eval().requires_grad_(False)
