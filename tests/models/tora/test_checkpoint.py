"""Weight files: what is saved comes back, and what does not fit is named in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import STDiTConfig, nano
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.types import MissingAsset, UserError

CARD = {"name": "tiny", "steps": 3}


@pytest.fixture(scope="module")
def weights(
    tmp_path_factory: pytest.TempPathFactory,
    make_tiny_tora: Callable[[], ToraNetwork],
    tiny_vae: LinearPatchAutoencoder,
) -> Path:
    path = tmp_path_factory.mktemp("weights") / "new" / "tiny.safetensors"
    checkpoint.save(path, make_tiny_tora().state_dict(), tiny_vae, CARD)
    return path


def refused(path: Path, config: STDiTConfig) -> str:
    with pytest.raises(UserError) as caught:
        checkpoint.load(path, config)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "python -m toraeval train model=tora size=nano" in message
    return message


def test_round_trip(
    weights: Path, tiny_config: STDiTConfig, tiny_tora: ToraNetwork, tiny_vae: LinearPatchAutoencoder
) -> None:
    model, vae = checkpoint.load(weights, tiny_config)
    loaded, original = model.state_dict(), tiny_tora.state_dict()
    assert loaded.keys() == original.keys()
    for name, value in original.items():
        assert torch.equal(loaded[name], value.to(torch.bfloat16).to(value.dtype)), name
    for name, value in tiny_vae.state_dict().items():
        assert torch.equal(vae.state_dict()[name], value), name
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_card_is_in_the_header_and_beside_the_file(weights: Path) -> None:
    assert json.loads(weights.with_suffix(".json").read_text()) == CARD
    with safe_open(str(weights), "pt") as handle:
        assert json.loads(handle.metadata()["card"]) == CARD
    assert sorted(p.name for p in weights.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]
    assert weights.stat().st_mode & 0o777 == 0o644


def test_missing_file_names_the_train_command(tmp_path: Path, tiny_config: STDiTConfig) -> None:
    message = refused(tmp_path / "none.safetensors", tiny_config)
    assert "no weights at" in message
    with pytest.raises(MissingAsset) as caught:
        checkpoint.load(tmp_path / "none.safetensors")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.999])
def test_truncated_file(weights: Path, tmp_path: Path, tiny_config: STDiTConfig, kept: float) -> None:
    content = weights.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert "not a readable safetensors file" in refused(cut, tiny_config)
    with pytest.raises(UserError) as caught:
        checkpoint.load(cut)
    assert caught.value.exit_code == 2


def test_folder_instead_of_a_file(tmp_path: Path, tiny_config: STDiTConfig) -> None:
    assert "not a readable" in refused(tmp_path, tiny_config)


def test_wrong_keys_are_counted_and_named(weights: Path, tmp_path: Path, tiny_config: STDiTConfig) -> None:
    tensors = load_file(str(weights))
    other = tmp_path / "other.safetensors"
    tensors["dit.extra"] = tensors.pop("dit.t_block.1.bias")
    save_file(tensors, str(other))
    message = refused(other, tiny_config)
    assert "1 key missing ['t_block.1.bias'], 1 unexpected ['extra'], 0 of another shape []" in message
    save_file({"something": torch.zeros(3)}, str(other))
    assert "keys missing" in refused(other, tiny_config)
    del tensors["vae.basis"]
    tensors["dit.t_block.1.bias"] = tensors.pop("dit.extra")
    save_file(tensors, str(other))
    assert "1 key missing ['basis']" in refused(other, tiny_config)


def test_another_size_is_refused(weights: Path) -> None:
    message = refused(weights, nano())
    assert "of another shape" in message
    assert len(message) < 800


def test_shipped_place() -> None:
    path = checkpoint.weights_path()
    assert path.name == "tora_nano.safetensors"
    assert path.parent.name == "weights"
