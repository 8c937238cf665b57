"""Weights of the embedded size: one safetensors file with transformer, caption encoder and autoencoder.

Float tensors are stored in bfloat16 except the autoencoder, whose basis decides the pixels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval.models.tora.config import STDiTConfig, nano
from toraeval.models.tora.linear_vae import LinearPatchAutoencoder
from toraeval.models.tora.model import Tora
from toraeval.types import MissingAsset, UserError

WEIGHTS = Path(__file__).with_name("weights")
TRAIN_COMMAND = "python -m toraeval train model=tora size=nano"


def weights_path(size: str) -> Path:
    """Return where the shipped weights of a size lie."""
    return WEIGHTS / f"tora_{size}.safetensors"


def save(
    path: Path, model_state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]
) -> None:
    """Export weights as safetensors.

    Args:
        path: target file; its folder is created.
        model_state: state dict of `Tora`.
        vae: fitted autoencoder.
        card: model card, stored as JSON in the header and beside the file.
    """
    from safetensors.torch import save_file

    tensors = {
        f"dit.{k}": v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in model_state.items()
    }
    tensors |= {f"vae.{k}": v.float() for k, v in vae.state_dict().items()}
    tensors = {k: v.contiguous().cpu() for k, v in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(tensors, str(temporary), metadata={"card": json.dumps(card)})
    temporary.chmod(0o644)
    temporary.replace(path)
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def load(path: Path, config: STDiTConfig | None = None) -> tuple[Tora, LinearPatchAutoencoder]:
    """Load weights strictly.

    Args:
        path: file written by `save`.
        config: shape of the network; by default the `architecture` of the file's card.

    Returns:
        (network in eval mode with float32 weights, autoencoder).

    Raises:
        MissingAsset: the file does not exist.
        UserError: it is corrupt, or its keys or shapes do not fit.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    if not path.exists():
        raise MissingAsset(f"tora: no weights at {path}; train them with: {TRAIN_COMMAND}")
    try:
        tensors = load_file(str(path))
        with safe_open(str(path), framework="pt") as handle:
            card = json.loads((handle.metadata() or {}).get("card", "{}"))
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"tora: {path} is not a readable safetensors file ({error}); train anew: {TRAIN_COMMAND}"
        ) from error
    model = Tora(config or _architecture(card, path))
    vae = LinearPatchAutoencoder(model.config.in_channels)
    _fill(model, {k[4:]: v for k, v in tensors.items() if k.startswith("dit.")}, path)
    _fill(vae, {k[4:]: v for k, v in tensors.items() if k.startswith("vae.")}, path)
    return model.eval().requires_grad_(False), vae.eval()


def _architecture(card: dict[str, Any], path: Path) -> STDiTConfig:
    if "architecture" not in card:
        return nano()
    try:
        return STDiTConfig(**card["architecture"])
    except (TypeError, ValueError) as error:
        raise UserError(
            f"tora: the card of {path} describes no network that is known here: {error}"
        ) from error


def _fill(module: torch.nn.Module, state: dict[str, Tensor], path: Path) -> None:
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or extra or wrong:
        raise UserError(
            f"tora: {path} does not fit this model: {len(missing)} keys missing {missing[:3]}, {len(extra)} unexpected "
            f"{extra[:3]}, {len(wrong)} of another shape {sorted(wrong)[:3]}; train anew: {TRAIN_COMMAND}"
        )
    module.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})
