"""The train command: options, scene ranges, and the way from nothing to weights that generate."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import train_command
from toraeval.config.trainings import NanoOptions
from toraeval.models.shared.network import config as tora_config
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.generator import Tora
from toraeval.store import keys
from toraeval.suites.shapes.suite import Shapes
from toraeval.training.data import preparation
from toraeval.training.data.batches import StepPlan
from toraeval.training.data.preparation import DataSet, shard_plan
from toraeval.training.engine.distributed import processes
from toraeval.training.recipes import nano, train, validation
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.types import MissingAsset, UserError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "unet"}, "unknown training 'model=unet'"),
        ({"model": "motionctrl", "size": "tiny"}, "model=motionctrl size=tiny"),
        ({"minutes": 0}, "minutes=0; allowed: more than 0"),
        ({"minutes": float("nan")}, "minutes=nan"),
        ({"minutes": float("inf")}, "minutes=inf"),
        ({"rate": 0.0}, "rate=0.0; allowed: more than 0"),
        ({"samples": 0}, "samples=0; allowed: at least 1"),
        ({"clips": 63}, "clips=63; allowed: 64 to"),
        ({"clips": 2_000_001}, "clips=2000001"),
        ({"workers": 0}, "workers=0"),
        ({"seed": -1}, "seed=-1"),
        ({"device": "tpu"}, "device=tpu; allowed: cpu, cuda"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        train_command({**options, "folder": str(tmp_path / "state")})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "state").exists()


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="sees no GPU; use device=cpu"):
        train.main(NanoOptions(device="cuda"))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be made .*; choose another: folder=PATH"):
        train_command({"folder": str(tmp_path / "file" / "state")})


def test_missing_start_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="no weights at"):
        train_command({"folder": str(tmp_path), "start": str(tmp_path / "none.safetensors")})


@pytest.mark.parametrize("clips", [64, 9000, 2_000_000])
def test_scene_ranges_never_meet(clips: int) -> None:
    plan = shard_plan(clips)
    assert {frames for frames, _, _ in plan} == {17, 33, 65, 129}
    ranges = sorted((start, start + count) for _, start, count in plan)
    assert all(one[1] <= other[0] for one, other in pairwise(ranges))
    assert ranges[0][0] >= train.DATA.fit_scenes
    seventeen = sum(count for frames, _, count in plan if frames == 17)
    assert abs(seventeen - clips) <= 32


@pytest.fixture
def small_world(monkeypatch: pytest.MonkeyPatch, tiny_size: STDiTConfig) -> None:
    """A handful of short scenes."""
    monkeypatch.setattr(train, "DATA", DataSet(1, 8, 2))
    monkeypatch.setattr(validation, "CLIPS", 1)
    monkeypatch.setattr(preparation, "SCENES", {17: (100, 2), 33: (200, 1)})
    monkeypatch.setattr(preparation, "SHARES", {17: 0.0, 33: 0.0})
    lengths = {17: 0.5, 33: 0.5}
    monkeypatch.setattr(train, "NanoRecipe", partial(NanoRecipe, lengths=lengths, late_lengths=lengths))


@pytest.fixture
def prepared(tmp_path: Path, small_world: None, shards: Path, vae_path: Path) -> Path:
    """A folder whose autoencoder and shards are there already."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    (folder / "vae.safetensors").symlink_to(vae_path)
    (folder / "shards").mkdir()
    for source in shards.iterdir():
        (folder / "shards" / source.name).symlink_to(source)
    return folder


@pytest.mark.usefixtures("clock", "small_world")
def test_from_nothing_to_weights_that_generate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"folder": str(tmp_path / "state"), "minutes": 2 / 60, "workers": 1}
    assert train_command(options) == 0
    target = tmp_path / "state" / "tora_nano.safetensors"
    said = capsys.readouterr()
    assert said.out == ""
    assert f"model.weights={target}" in said.err
    model, vae = checkpoint.load(target)
    with processes("cpu") as world:
        engine = nano.build(nano.stored(tmp_path / "state" / "nano"), world)
    assert engine.done.step == 2
    for name, value in model.state_dict().items():
        assert torch.equal(value, engine.model.state_dict()[name].to(torch.bfloat16).to(value.dtype)), name
    assert torch.equal(vae.basis, checkpoint.load(target)[1].basis)
    video = Tora(steps=1, weights=str(target)).generate(Shapes().cases(5, 64, 64)[0], 0)
    assert video.num_frames == 5

    before = keys.file_sha256(target)
    assert train_command({**options, "export": str(tmp_path / "again.safetensors")}) == 0
    assert keys.file_sha256(tmp_path / "again.safetensors") == before  # no time is left, so nothing changed


@pytest.mark.long
@pytest.mark.usefixtures("clock")
def test_training_goes_on_from_weights_with_their_network_and_autoencoder(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_size: STDiTConfig
) -> None:
    options: dict[str, Any] = {"minutes": 1 / 60, "workers": 1}
    train_command({**options, "folder": str(prepared)})
    weights = prepared / "tora_nano.safetensors"
    # the handful of clips has none with several objects for each length
    monkeypatch.setattr(NanoRecipe, "plan", lambda self, done: StepPlan(lengths=self.lengths))
    monkeypatch.setattr(tora_config, "nano", partial(replace, tiny_size, hidden_size=64))  # of a later time
    train_command({**options, "folder": str(tmp_path / "second"), "start": str(weights), "seed": 1})
    (first, one), (later, other) = (
        checkpoint.load(path.joinpath(weights.name)) for path in (prepared, tmp_path / "second")
    )
    assert torch.equal(one.basis, other.basis)
    assert later.config == first.config == tiny_size
    log = (tmp_path / "second" / "nano" / "run.json").read_text()
    assert json.loads(log)["dense_share"] == 0  # dense flow is behind trained weights
    monkeypatch.setattr(checkpoint, "weights_path", lambda: weights)
    assert learner("tora").shipped() == weights


@pytest.mark.long
@pytest.mark.usefixtures("clock")
def test_card_says_what_was_done_and_nothing_of_this_machine(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the handful of clips has none with several objects for each length
    monkeypatch.setattr(NanoRecipe, "plan", lambda self, done: StepPlan(lengths=self.lengths))
    target = tmp_path / "out" / "weights.safetensors"
    train_command({"folder": str(prepared), "minutes": 20 / 60, "workers": 1, "export": str(target)})
    card = json.loads(target.with_suffix(".json").read_text())
    assert card["name"] == "tora_nano"
    assert card["licence"] == "Apache-2.0"
    assert card["steps"] == 20
    assert card["clips_seen"] > 0
    assert card["training_seconds"] == 20
    assert card["hardware"] == f"1 process(es) on cpu, {platform.machine()}"
    assert card["architecture"]["hidden_size"] == 32
    assert card["loss"]
    for content in (target.with_suffix(".json").read_bytes(), target.read_bytes()):
        for path in (tmp_path, prepared.resolve(), Path.home(), Path.cwd()):
            assert str(path).encode() not in content
    assert not {"data", "out", "vae", "start"} & card["config"].keys()
