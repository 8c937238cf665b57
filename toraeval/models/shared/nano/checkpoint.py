"""Weights of the embedded models: one safetensors file with network, caption encoder and autoencoder, and a card.

Without weights the message names the command that trains them. Float tensors are stored in
bfloat16 except the autoencoder, whose basis decides the pixels.

Shipped files of models with one autoencoder leave it out; their cards name the SHA-256 of the file that holds it for
all of them, so that the hash of a weights file still says all that decides the pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from toraeval.assets import require_numbers
from toraeval.store.keys import current_sha256
from toraeval.store.sealed import atomic
from toraeval.types import MissingAsset, UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder

AUTOENCODER = Path(__file__).with_name("weights") / "autoencoder.safetensors"
"""The autoencoder of the shipped models that leave it out."""

VAE = "vae."
Shape = TypeVar("Shape")
Net = TypeVar("Net", bound="torch.nn.Module")


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
    import torch

    tensors = {
        f"{prefix}{k}": v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in model_state.items()
    }
    exact = torch.float16 if vae.basis.dtype == torch.float16 else torch.float32
    tensors |= {f"{VAE}{k}": v.to(exact) for k, v in vae.state_dict().items()}
    _write(path, tensors, card)
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def _write(path: Path, tensors: dict[str, Tensor], card: dict[str, Any] | None) -> None:
    from safetensors.torch import save_file

    stored = {k: v.contiguous().cpu() for k, v in tensors.items()}

    def write(temporary: Path) -> None:
        save_file(stored, temporary, metadata=None if card is None else {"card": json.dumps(card)})
        temporary.chmod(0o644)

    atomic(path, write)


def ship(files: dict[str, Path], targets: dict[str, Path], shared: Path = AUTOENCODER) -> None:
    """Write weights of several models without the autoencoder that all of them hold, and it once.

    Args:
        files: model -> file written by `save`.
        targets: model -> where its file without autoencoder goes, with its card beside it.
        shared: where the autoencoder goes.

    Raises:
        MissingAsset: one of the files does not exist.
        UserError: one is corrupt, holds no autoencoder, or another one than the first; nothing is written then.
    """
    import torch

    read_files = {model: _read_file(path, model) for model, path in files.items()}
    autoencoders = {
        model: {k: v for k, v in tensors.items() if k.startswith(VAE)}
        for model, (tensors, _) in read_files.items()
    }
    first = next(iter(autoencoders))
    for model, vae in autoencoders.items():
        if not vae:
            raise UserError(
                f"{model}: {files[model]} holds no autoencoder; give the file that training wrote"
            )
        same = vae.keys() == autoencoders[first].keys() and all(
            v.dtype == vae[k].dtype and torch.equal(v, vae[k]) for k, v in autoencoders[first].items()
        )
        if not same:
            raise UserError(
                f"{model}: {files[model]} holds another autoencoder than {files[first]}; only models that were "
                "trained on one autoencoder can share it"
            )
    _write(shared, {k.removeprefix(VAE): v for k, v in autoencoders[first].items()}, None)
    for model, (tensors, card) in read_files.items():
        named = {**card, "autoencoder": current_sha256(shared)}
        _write(targets[model], {k: v for k, v in tensors.items() if k not in autoencoders[model]}, named)
        targets[model].with_suffix(".json").write_text(json.dumps(named, indent=1) + "\n")


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
        UserError: it is corrupt, of another model, or its keys or shapes do not fit.
    """
    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder

    tensors, card = read(path, model)
    require_model(card, path, model)
    network = build(card)
    vae = LinearPatchAutoencoder(int(network.latent_channels))  # type: ignore[arg-type]
    fill(network, tensors, prefix, path, model)
    fill(vae, tensors, VAE, path, model)
    return network.eval().requires_grad_(False), vae.eval()


def read(path: Path, model: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read all tensors and the card of a weights file; the shipped autoencoder where its card names that.

    Args:
        path: file written by `save` or `ship`.
        model: name for the messages.

    Raises:
        MissingAsset: the file, or the autoencoder that it leaves out, does not exist.
        UserError: one of them is corrupt, or the autoencoder is not the one that the card names.
    """
    tensors, card = _read_file(path, model)
    if "autoencoder" not in card:
        return tensors, card
    require_autoencoder(card, path, model)
    shared, _ = _read_file(AUTOENCODER, model)
    return tensors | {f"{VAE}{k}": v for k, v in shared.items()}, card


def require_autoencoder(card: dict[str, Any], path: Path, model: str) -> None:
    """Check that the autoencoder that a weights file leaves out is there, if it leaves it out.

    Raises:
        MissingAsset: it is not there.
        UserError: it is not the one that the card names.
    """
    if "autoencoder" not in card:
        return
    if not AUTOENCODER.is_file():
        raise MissingAsset(
            f"{model}: the autoencoder of the shipped weights is not at {AUTOENCODER}; install toraeval again, or in a "
            "clone: git checkout -- toraeval/models/shared/nano/weights"
        )
    if current_sha256(AUTOENCODER) != card["autoencoder"]:
        raise UserError(
            f"{model}: {path} was trained with another autoencoder than {AUTOENCODER}, or that file is damaged; "
            f"install toraeval again, or give a file that holds its own, as training writes it: {train_command(model)}"
        )


def require_model(card: dict[str, Any], path: Path, model: str) -> None:
    """Check that a card is of the model that is wanted, as far as it tells.

    Raises:
        UserError: it is of another one.
    """
    trained = card.get("config", {}).get("model", model)
    if trained != model:
        raise UserError(f"{model}: {path} holds weights of {trained}; give those of {model}")


def read_card(path: Path, model: str) -> dict[str, Any]:
    """Read the card of a weights file alone.

    Raises:
        UserError: the file is corrupt.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as handle:
            card = json.loads((handle.metadata() or {}).get("card", "{}"))
        if not isinstance(card, dict):
            raise ValueError("its card is not a JSON object")
        return card
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{model}: {path} is not a readable safetensors file ({error}); train it again: {train_command(model)}"
        ) from error


def _read_file(path: Path, model: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise MissingAsset(f"{model}: no weights at {path}; train them with: {train_command(model)}")
    require_numbers([path], model, f"train it again: {train_command(model)}")
    card = read_card(path, model)
    try:
        return load_file(str(path)), card
    except (SafetensorError, OSError, ValueError) as error:
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
    from toraeval.models.shared.weight_files import key_difference

    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    own = module.state_dict()
    found = {k: tuple(v.shape) for k, v in state.items()}
    if difference := key_difference({k: tuple(v.shape) for k, v in own.items()}, found):
        raise UserError(
            f"{model}: {path} does not fit this model: {difference}; train it again: {train_command(model)}"
        )
    module.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})
