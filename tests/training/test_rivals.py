"""The rivals train in the same loop: on excerpts, with a budget in clips, on one or several workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baselines.unet.config import tiny
from toraeval.training.data.batches import BatchSource, StepPlan
from toraeval.training.engine.distributed import World
from toraeval.training.recipes import nano
from toraeval.training.recipes.learners import LEARNERS, learner
from toraeval.training.recipes.nano import NanoObjective, split_parameters
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.types import UserError

RIVALS = ("motionctrl", "dragnuwa")
LENGTHS = {17: 0.5, 33: 0.5}


def config(model: str, out: Path, excerpts: Path, vae_path: Path, **changes: object) -> NanoRecipe:
    plain = NanoRecipe(
        data=str(excerpts),
        out=str(out),
        vae=str(vae_path),
        model=model,
        network=tiny(model),
        samples=60,
        dense_share=0.5,
        window_share=1.0,
        single_share=0.0,
        warmup_steps=1,
        workers=1,
        tokens=320,
        lengths=LENGTHS,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.long
@pytest.mark.parametrize("model", RIVALS)
def test_a_run_ends_at_exactly_its_clips_and_resumes_there(
    model: str, tmp_path: Path, excerpts: Path, vae_path: Path, world: World
) -> None:
    half = config(model, tmp_path, excerpts, vae_path, samples=7)
    first = nano.build(half, world)
    assert first.run() == 0
    assert first.done.clips == 7
    further = replace(half, samples=10)
    second = nano.build(further, world)
    assert second.done.clips == 7
    assert second.run() == 0
    assert second.done.clips == 10
    assert nano.build(half, world).finished
    stored = nano.stored(tmp_path)
    assert stored.model == stored.network.design == model
    target = tmp_path / f"{model}_nano.safetensors"
    card = nano.export(second, further, nano.Ending(target))
    assert (card["name"], card["clips_seen"]) == (f"{model}_nano", 10)
    assert card["clips_rendered"] == {"17": 7, "33": 2}
    assert card["parameters"] > card["motion_parameters"] > 0
    network, _ = learner(model).load(target)
    for name, value in network.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name].to(torch.bfloat16).to(value.dtype)), name


@pytest.mark.parametrize("model", RIVALS)
def test_every_parameter_learns_on_both_motions(
    model: str, tmp_path: Path, excerpts: Path, vae_path: Path
) -> None:
    objective = NanoObjective(config(model, tmp_path, excerpts, vae_path, text_dropout=0.5))
    source = drawing(objective, excerpts)
    for kind in ("dense", "sparse"):
        batch = source.draw(1, StepPlan(kind, LENGTHS))
        objective.loss(batch, 1, 0)[0].backward()
        # workers average gradients by position, so a parameter must never be left out
        assert all(p.grad is not None for p in objective.model.parameters() if p.requires_grad)
        objective.model.zero_grad(set_to_none=True)


@pytest.mark.parametrize("model", RIVALS)
def test_muon_takes_the_matrices_of_the_blocks(model: str) -> None:
    network = learner(model).build(tiny(model))
    matrices, others = split_parameters(network)
    names = {id(p): name for name, p in network.named_parameters()}
    assert all(p.ndim == 2 and "_blocks." in names[id(p)] for p in matrices)
    assert len(matrices) + len(others) == len([p for p in network.parameters() if p.requires_grad])
    assert {"encoder_blocks", "middle_blocks", "decoder_blocks"} <= {
        names[id(p)].split(".")[0] for p in matrices
    }
    keys = learner(model).motion_keys
    assert any(name.startswith(keys) for name in names.values())


def drawing(objective: NanoObjective, excerpts: Path) -> BatchSource:
    kind = objective.learner
    read = kind.motion_reader(objective.recipe.network, objective.vae)
    return BatchSource(excerpts, LENGTHS, 0, 0, 320, read, None, kind.open_shard)


def test_the_loss_falls(tmp_path: Path, excerpts: Path, vae_path: Path) -> None:
    recipe = config("dragnuwa", tmp_path, excerpts, vae_path)
    objective = NanoObjective(recipe)
    batch = drawing(objective, excerpts).draw(0, StepPlan(lengths={17: 1.0}, window=4))
    before = float(objective.loss(batch, 0, 0)[0].detach())
    optimizers = objective.optimizers()
    for step in range(15):
        objective.loss(batch, step, 0)[0].backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert float(objective.loss(batch, 0, 0)[0].detach()) < 0.9 * before


def test_unknown_models_are_named() -> None:
    assert list(LEARNERS) == ["tora", "wan_move", *RIVALS]
    with pytest.raises(UserError, match=r"unknown model to train 'dragnuva'. Did you mean 'dragnuwa'"):
        learner("dragnuva")
