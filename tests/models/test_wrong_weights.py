"""Weights of another model, a folder in place of a file, a missing common autoencoder: refused before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toraeval import registry
from toraeval.models.shared.nano import checkpoint
from toraeval.training.recipes.learners import LEARNERS, learner
from toraeval.types import MissingAsset, UserError

MODELS = tuple(LEARNERS)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("other", MODELS)
def test_weights_of_another_model_are_refused(model: str, other: str) -> None:
    generator = registry.build("model", {"name": model, "weights": str(learner(other).shipped())})
    if model == other:
        assert generator.fingerprint()["binding"] == "entity"
        return
    for ask in (generator.fingerprint, generator.prepare):
        with pytest.raises(UserError, match=rf"^{model}: .* holds weights of {other}; give those of {model}"):
            ask()


def test_a_folder_is_no_weights_file(tmp_path: Path) -> None:
    generator = registry.build("model", {"name": "dragnuwa", "weights": str(tmp_path)})
    with pytest.raises(UserError, match=f"dragnuwa: weights={tmp_path} is not a file"):
        generator.fingerprint()
    with pytest.raises(UserError, match=f"{tmp_path} is not a readable safetensors file"):
        generator.prepare()


def test_the_common_autoencoder_is_asked_for_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "autoencoder.safetensors"
    monkeypatch.setattr(checkpoint, "AUTOENCODER", copy)
    with pytest.raises(MissingAsset, match="install toraeval again, or in a clone: git checkout"):
        registry.build("model", {"name": "tora"}).fingerprint()
    original = Path(checkpoint.__file__).with_name("weights") / copy.name
    shutil.copy(original, copy)
    copy.write_bytes(copy.read_bytes()[:-1000])
    with pytest.raises(UserError, match="or that file is damaged"):
        registry.build("model", {"name": "tora"}).fingerprint()


def test_training_goes_on_from_weights_of_the_same_model_only() -> None:
    with pytest.raises(UserError, match=r"tora: .* holds weights of wan_move; give those of tora"):
        learner("tora").load(learner("wan_move").shipped())
