"""Validation loss: the same clips and noise for every model, and the numbers of its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.unet.config import tiny
from toraeval.config.training_tasks import ValidateOptions
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.rectified_flow import ClipSize, RectifiedFlow
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world2 import sample_scene
from toraeval.training.engine.distributed import World
from toraeval.training.engine.log import read_rows
from toraeval.training.recipes import nano, validation
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import FIRST_SCENE, CleanLoss, HeldOut, ValidationClips
from toraeval.types import UserError


@pytest.fixture(scope="module")
def clips(vae: LinearPatchAutoencoder) -> ValidationClips:
    return ValidationClips.render(vae, 2)


def test_clips_are_fast_ones_and_slow_ones(clips: ValidationClips, vae: LinearPatchAutoencoder) -> None:
    assert clips.kinds == ("fast", "fast", "slow", "slow")
    assert clips.video.shape == (4, 5, 16, 16, 8)
    for k, (frames, start) in enumerate([(17, 0), (17, 0), (65, 16), (129, 16)]):
        renderer = SceneRenderer(sample_scene("validation", FIRST_SCENE + k), frames)
        np.testing.assert_array_equal(clips.tracks[k], renderer.tracks_NT2[:, start : start + 17])
        still = vae.encode(renderer.frame(start)[None])[:, 0].permute(1, 2, 0)
        assert torch.equal(clips.video[k, 0], still.half())
    speed = [np.abs(np.diff(paths, axis=1)).mean() for paths in clips.tracks]
    assert min(speed[:2]) > max(speed[2:])


def test_clips_are_read_back_as_written(clips: ValidationClips, tmp_path: Path) -> None:
    clips.save(tmp_path / "clips.npz")
    again = ValidationClips.load(tmp_path / "clips.npz")
    assert torch.equal(again.video, clips.video)
    assert torch.equal(again.words, clips.words)
    assert again.kinds == clips.kinds
    for one, other in zip(again.tracks, clips.tracks, strict=True):
        np.testing.assert_array_equal(one, other)
    (tmp_path / "clips.npz").write_bytes(b"half")
    with pytest.raises(UserError, match=r"clips.npz cannot be read .* remove it"):
        ValidationClips.load(tmp_path / "clips.npz")


@pytest.mark.parametrize("model", ["motionctrl", "dragnuwa"])
def test_an_untrained_network_has_the_loss_of_standing_still(
    model: str, clips: ValidationClips, vae: LinearPatchAutoencoder
) -> None:
    torch.manual_seed(0)
    errors = CleanLoss(learner(model), vae, NanoRecipe().flow, 0.5)
    found = HeldOut(learner(model).build(tiny(model)), errors, clips).loss()
    generator = torch.Generator().manual_seed(0)
    times = RectifiedFlow(NanoRecipe().flow).sample_times(4, ClipSize(512.0, 512.0, 17.0), generator)
    video = clips.video.double()
    weight = vae.scale.double() / vae.scale.double().mean()
    error = ((video[:, 1:] - video[:, :1]).square() * weight).mean((1, 2, 3, 4))
    expected = error / (times.double() / 1000).clamp_min(0.4).square()
    assert found["fast"] == pytest.approx(float(expected[:2].mean()), rel=1e-3)
    assert found["slow"] == pytest.approx(float(expected[2:].mean()), rel=1e-3)
    assert found["all"] == pytest.approx(float(expected.mean()), rel=1e-3)


@pytest.mark.long
def test_training_measures_it_on_the_way(
    clips: ValidationClips,
    tmp_path: Path,
    excerpts: Path,
    vae_path: Path,
    vae: LinearPatchAutoencoder,
    world: World,
) -> None:
    clips.save(tmp_path / "clips.npz")
    lengths = {17: 1.0}
    config = NanoRecipe(
        data=str(excerpts), out=str(tmp_path / "run"), vae=str(vae_path), model="motionctrl",
        network=tiny("motionctrl"), samples=40, lengths=lengths, late_lengths=lengths, single_share=0.0,
        window_share=1.0, tokens=256, workers=1, validation=str(tmp_path / "clips.npz"), validation_share=0.5,
    )  # fmt: skip
    engine = nano.build(config, world)
    assert engine.run() == 0
    rows = read_rows(Path(config.out) / "validation.csv")
    assert [int(row["clips"]) >= 20 for row in rows] == [True, True]
    assert rows[-1]["clips"] == "40"
    objective = engine.objective
    assert isinstance(objective, nano.NanoObjective)
    last = HeldOut(objective.model, objective.errors, clips).loss()
    assert float(rows[-1]["all"]) == pytest.approx(last["all"], abs=1e-5)
    stored = nano.build(config, world).validation
    assert {name: float(stored[name]) for name in last} == last


def test_the_command_measures_weights(
    tmp_path: Path, tiny_size: STDiTConfig, vae: LinearPatchAutoencoder
) -> None:
    weights, table = tmp_path / "weights.safetensors", tmp_path / "out" / "table.csv"
    checkpoint.save(weights, learner("tora").build(tiny_size).state_dict(), vae, {})
    validation.main(ValidateOptions(weights=str(weights), table=str(table), clips=1))
    rows = read_rows(table)
    assert [(row["kind"], row["clips"]) for row in rows] == [("fast", "1"), ("slow", "1"), ("all", "2")]
    losses = [float(row["loss"]) for row in rows]
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, abs=1e-5)
    with pytest.raises(UserError, match="clips=0"):
        validation.main(ValidateOptions(clips=0))
