"""Weights of the embedded size: one safetensors file with transformer, caption encoder and autoencoder.

The embedded rivals keep theirs in the same form, by `save`, `read` and `fill` from here. Float tensors are stored in
bfloat16 except the autoencoder, whose basis decides the pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from toraeval.assets import require_numbers
from toraeval.models.tora.autoencoder.linear_patches import LinearPatchAutoencoder
from toraeval.models.tora.network.config import STDiTConfig, nano
from toraeval.models.tora.network.model import Tora
from toraeval.types import MissingAsset, UserError

WEIGHTS = Path(__file__).parents[1] / "weights"
Shape = TypeVar("Shape")


def train_command(model: str) -> str:
    """Return the command that makes the embedded weights of a model."""
    return f"python -m toraeval train model={model} size=nano"


TRAIN_COMMAND = train_command("tora")


def weights_path(size: str) -> Path:
    """Return where the shipped weights of a size lie."""
    return WEIGHTS / f"tora_{size}.safetensors"


def save(
    path: Path,
    model_state: dict[str, Tensor],
    vae: LinearPatchAutoencoder,
    card: dict[str, Any],
    prefix: str = "dit.",
) -> None:
    """Export weights as safetensors; the autoencoder in float16 if it is given so, else in float32.

    Args:
        path: target file; its folder is created.
        model_state: state dict of the network.
        vae: fitted autoencoder.
        card: model card, stored as JSON in the header and beside the file.
        prefix: of the network's names in the file.
    """
    from safetensors.torch import save_file

    tensors = {
        f"{prefix}{k}": v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in model_state.items()
    }
    exact = torch.float16 if vae.basis.dtype == torch.float16 else torch.float32
    tensors |= {f"vae.{k}": v.to(exact) for k, v in vae.state_dict().items()}
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
    tensors, card = read(path, "tora")
    model = Tora(
        config or (architecture(card, path, "tora", STDiTConfig) if "architecture" in card else nano())
    )
    vae = LinearPatchAutoencoder(model.config.in_channels)
    fill(model, tensors, "dit.", path, "tora")
    fill(vae, tensors, "vae.", path, "tora")
    return model.eval().requires_grad_(False), vae.eval()


def read(path: Path, model: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read all tensors and the card of a weights file.

    Args:
        path: file written by `save`.
        model: name for the messages.

    Raises:
        MissingAsset: the file does not exist.
        UserError: it is corrupt.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    if not path.exists():
        raise MissingAsset(f"{model}: no weights at {path}; train them with: {train_command(model)}")
    require_numbers([path], model, f"train anew: {train_command(model)}")
    try:
        tensors = load_file(str(path))
        with safe_open(str(path), framework="pt") as handle:
            return tensors, json.loads((handle.metadata() or {}).get("card", "{}"))
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{model}: {path} is not a readable safetensors file ({error}); train anew: {train_command(model)}"
        ) from error


def architecture(card: dict[str, Any], path: Path, model: str, shape: Callable[..., Shape]) -> Shape:
    """Return the configuration that a card describes.

    Raises:
        UserError: the card describes no network of this kind.
    """
    try:
        return shape(**card["architecture"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{model}: the card of {path} describes no network that is known here: {error}"
        ) from error


def fill(module: torch.nn.Module, tensors: dict[str, Tensor], prefix: str, path: Path, model: str) -> None:
    """Load the tensors whose names begin with `prefix` into a module, in the module's own dtypes.

    Raises:
        UserError: a name is missing or unknown, or a shape differs.
    """
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or extra or wrong:
        raise UserError(
            f"{model}: {path} does not fit this model: {len(missing)} keys missing {missing[:3]}, {len(extra)} "
            f"unexpected {extra[:3]}, {len(wrong)} of another shape {sorted(wrong)[:3]}; "
            f"train anew: {train_command(model)}"
        )
    module.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})
