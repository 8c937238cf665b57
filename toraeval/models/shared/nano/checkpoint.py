"""Weights of the embedded models: one safetensors file with network, caption encoder and autoencoder, and a card.

Without weights the message names the command that trains them. Float tensors are stored in
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
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.weight_files import key_difference
from toraeval.types import MissingAsset, UserError

Shape = TypeVar("Shape")
Net = TypeVar("Net", bound=torch.nn.Module)


def train_command(model: str) -> str:
    """Return the command that makes the embedded weights of a model."""
    return f"python -m toraeval train model={model} size=nano"


def weights_path(package: str, name: str) -> Path:
    """Return where the shipped weights of a model lie; `package` is the path of its package."""
    return Path(package) / "weights" / f"{name}_nano.safetensors"


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


def load(
    path: Path, model: str, build: Callable[[dict[str, Any]], Net], prefix: str = "dit."
) -> tuple[Net, LinearPatchAutoencoder]:
    """Load weights strictly.

    Args:
        path: file written by `save`.
        model: name for the messages.
        build: makes the network that a card describes; it has `latent_channels`.
        prefix: of the network's names in the file.

    Returns:
        (network in eval mode with float32 weights, autoencoder).

    Raises:
        MissingAsset: the file does not exist.
        UserError: it is corrupt, or its keys or shapes do not fit.
    """
    tensors, card = read(path, model)
    network = build(card)
    vae = LinearPatchAutoencoder(int(network.latent_channels))  # type: ignore[arg-type]
    fill(network, tensors, prefix, path, model)
    fill(vae, tensors, "vae.", path, model)
    return network.eval().requires_grad_(False), vae.eval()


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
    require_numbers([path], model, f"train it again: {train_command(model)}")
    try:
        tensors = load_file(str(path))
        with safe_open(str(path), framework="pt") as handle:
            return tensors, json.loads((handle.metadata() or {}).get("card", "{}"))
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{model}: {path} is not a readable safetensors file ({error}); train it again: {train_command(model)}"
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
    found = {k: tuple(v.shape) for k, v in state.items()}
    if difference := key_difference({k: tuple(v.shape) for k, v in own.items()}, found):
        raise UserError(
            f"{model}: {path} does not fit this model: {difference}; train it again: {train_command(model)}"
        )
    module.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})
