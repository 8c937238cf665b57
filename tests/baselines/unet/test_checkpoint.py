"""Weights of the rivals: what is saved comes back; what is missing or does not fit is named in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines.unet import checkpoint
from baselines.unet.network import UNet
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.types import MissingAsset, UserError

Make = Callable[..., UNet]


@pytest.fixture
def vae() -> LinearPatchAutoencoder:
    made = LinearPatchAutoencoder(8)
    made.basis.copy_(torch.linalg.qr(torch.randn(12288, 8)).Q.T)
    made.mean.fill_(100.0)
    return made


@pytest.fixture
def written(tmp_path: Path, make_network: Make, vae: LinearPatchAutoencoder) -> Path:
    network = make_network("dragnuwa")
    path = tmp_path / "new" / "dragnuwa_nano.safetensors"
    checkpoint.save(path, network.state_dict(), vae, {"architecture": asdict(network.config)})
    return path


@pytest.mark.parametrize("design", ["motionctrl", "dragnuwa"])
def test_round_trip(tmp_path: Path, make_network: Make, vae: LinearPatchAutoencoder, design: str) -> None:
    network, path = make_network(design), tmp_path / "weights.safetensors"
    card = {"architecture": asdict(network.config), "steps": 7}
    checkpoint.save(path, network.state_dict(), vae, card)
    loaded, loaded_vae = checkpoint.load(path)
    assert loaded.config == network.config
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.to(torch.bfloat16).to(value.dtype)), name
    for name, value in vae.state_dict().items():
        assert torch.equal(loaded_vae.state_dict()[name], value), name
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert json.loads(path.with_suffix(".json").read_text())["steps"] == 7


@pytest.mark.parametrize("name", ["motionctrl", "dragnuwa"])
def test_missing_weights_name_the_command_that_trains_them(tmp_path: Path, name: str) -> None:
    for path, wanted in ((tmp_path / f"{name}_nano.safetensors", None), (tmp_path / "x.safetensors", name)):
        with pytest.raises(MissingAsset) as caught:
            checkpoint.load(path, wanted)
        assert f"train them with: python -m toraeval train model={name} size=nano" in str(caught.value)
    assert checkpoint.weights_path(name).name == f"{name}_nano.safetensors"


def test_weights_of_the_other_rival_are_refused(written: Path) -> None:
    with pytest.raises(UserError, match=r"motionctrl: .* holds weights of dragnuwa"):
        checkpoint.load(written, "motionctrl")


def spoil(path: Path, change: Callable[[dict[str, torch.Tensor]], None], card: object) -> None:
    tensors = load_file(str(path))
    change(tensors)
    save_file(tensors, str(path), metadata={"card": json.dumps(card)})


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        ("unet.conv_in.weight", None, "1 key missing"),
        ("unet.conv_in.weight", (3, 3), "1 of another shape"),
        ("unet.stray", (1,), "1 unexpected"),
        ("vae.mean", None, "1 key missing"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    written: Path, key: str, shape: tuple[int, ...] | None, message: str
) -> None:
    card = json.loads(written.with_suffix(".json").read_text())

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors.pop(key, None)
        if shape is not None:
            tensors[key] = torch.zeros(shape)

    spoil(written, change, card)
    with pytest.raises(UserError, match=message) as caught:
        checkpoint.load(written)
    assert key.split(".", 1)[1] in str(caught.value)


@pytest.mark.parametrize("card", [{}, {"architecture": {"design": "tora"}}, {"architecture": {"size": 3}}])
def test_a_card_of_no_known_network_is_refused(written: Path, card: dict[str, object]) -> None:
    spoil(written, lambda tensors: None, card)
    with pytest.raises(UserError, match="describes no network that is known here"):
        checkpoint.load(written)


def test_a_corrupt_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "motionctrl_nano.safetensors"
    path.write_bytes(b"not a weights file")
    with pytest.raises(UserError, match=r"motionctrl: .* is not a readable safetensors file"):
        checkpoint.load(path)
