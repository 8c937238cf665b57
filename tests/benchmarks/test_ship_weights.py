"""Shipping weights: the autoencoder lies in one file, and what is loaded is what was trained."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import ship_weights
from toraeval.models.shared.nano import checkpoint
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.training.recipes.learners import LEARNERS
from toraeval.types import MissingAsset, UserError


class Small(torch.nn.Linear):
    latent_channels = 4

    def __init__(self, card: object = None) -> None:
        super().__init__(3, 2)


def autoencoder(seed: int) -> LinearPatchAutoencoder:
    vae = LinearPatchAutoencoder(4)
    vae.basis.copy_(torch.randn(vae.basis.shape, generator=torch.Generator().manual_seed(seed)))
    return vae.half()


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    for name in LEARNERS:
        checkpoint.save(
            tmp_path / "new" / f"{name}_nano.safetensors", Small().state_dict(), autoencoder(0), {"n": name}
        )
    return tmp_path / "new"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def shipped(root: Path, name: str) -> Path:
    return root / LEARNERS[name].shipped().relative_to(ship_weights.ROOT)


@pytest.fixture
def shared(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Read the autoencoder where the test ships it."""
    path = root / checkpoint.AUTOENCODER.relative_to(ship_weights.ROOT)
    monkeypatch.setattr(checkpoint, "AUTOENCODER", path)
    return path


def test_what_is_loaded_is_what_was_trained(trained: Path, root: Path, shared: Path) -> None:
    said = ship_weights.main(trained, root)
    assert said[-1].startswith("together: 0.")
    for name in LEARNERS:
        whole, whole_vae = checkpoint.load(trained / f"{name}_nano.safetensors", name, Small)
        path = shipped(root, name)
        assert not [key for key in load_file(path) if key.startswith("vae.")]
        found, vae = checkpoint.load(path, name, Small)
        assert torch.equal(found.weight, whole.weight)
        assert torch.equal(vae.basis, whole_vae.basis)
        assert json.loads(path.with_suffix(".json").read_text())["n"] == name
    before = [shipped(root, name).read_bytes() for name in LEARNERS]
    ship_weights.main(trained, root)
    assert [shipped(root, name).read_bytes() for name in LEARNERS] == before


def test_another_autoencoder_is_refused(trained: Path, root: Path, shared: Path) -> None:
    ship_weights.main(trained, root)
    save_file({k: v.half() for k, v in autoencoder(1).state_dict().items()}, shared)
    with pytest.raises(UserError, match=r"was trained with another autoencoder than .*autoencoder"):
        checkpoint.load(shipped(root, "tora"), "tora", Small)
    shared.unlink()
    with pytest.raises(
        MissingAsset, match=r"the autoencoder of the shipped weights is not at .*autoencoder\.safetensors"
    ):
        checkpoint.load(shipped(root, "tora"), "tora", Small)


def test_models_that_do_not_fit_each_other_are_not_shipped(trained: Path, root: Path) -> None:
    other = trained / "dragnuwa_nano.safetensors"
    checkpoint.save(other, Small().state_dict(), autoencoder(1), {})
    with pytest.raises(UserError, match=r"dragnuwa: .* holds another autoencoder than"):
        ship_weights.main(trained, root)
    other.unlink()
    with pytest.raises(MissingAsset, match=r"dragnuwa_nano\.safetensors missing; all of tora"):
        ship_weights.main(trained, root)
    assert not list(root.rglob("*.safetensors"))


def test_weights_that_were_shipped_are_not_shipped_again(trained: Path, root: Path, shared: Path) -> None:
    ship_weights.main(trained, root)
    for name in LEARNERS:
        (trained / f"{name}_nano.safetensors").write_bytes(shipped(root, name).read_bytes())
    with pytest.raises(UserError, match=r"tora: .* holds no autoencoder"):
        ship_weights.main(trained, root)
