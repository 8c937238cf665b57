"""The rivals train in the same loop: on excerpts, with a budget in clips, on one or several workers."""

from __future__ import annotations

import csv
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baselines.unet.config import tiny
from toraeval.training.data.batches import BatchSource, StepPlan
from toraeval.training.engine.exchange import Exchange
from toraeval.training.engine.optimizers import split_parameters
from toraeval.training.recipes.learners import LEARNERS, learner
from toraeval.training.recipes.nano import TrainConfig, Trainer
from toraeval.training.recipes.train import export
from toraeval.types import UserError

RIVALS = ("motionctrl", "dragnuwa")
LENGTHS = {17: 0.5, 33: 0.5}


def config(model: str, out: Path, excerpts: Path, vae_path: Path, **changes: object) -> TrainConfig:
    plain = TrainConfig(
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


@pytest.mark.parametrize("model", RIVALS)
def test_a_run_ends_at_exactly_its_clips_and_goes_on_there(
    model: str, tmp_path: Path, excerpts: Path, vae_path: Path
) -> None:
    half = config(model, tmp_path, excerpts, vae_path, samples=7)
    first = Trainer(half)
    first.run()
    assert (first.clips, first.progress) == (7, 1.0)
    second = Trainer(replace(half, samples=10))
    assert second.clips == 7
    second.run()
    assert second.clips == 10
    assert Trainer(half).progress > 1.0
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model"] == saved["network"]["design"] == model
    target = tmp_path / f"{model}_nano.safetensors"
    card = export(tmp_path, vae_path, target)
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
    trainer = Trainer(config(model, tmp_path, excerpts, vae_path, text_dropout=0.5))
    source = BatchSource(
        excerpts, LENGTHS, 0, 0, 320, trainer.motion_reader, None, trainer.learner.open_shard
    )
    for kind in ("dense", "sparse"):
        batch = source.draw(1, StepPlan(kind, LENGTHS))
        trainer.loss(batch, torch.Generator().manual_seed(1)).backward()
        # workers average gradients by position, so a parameter must never be left out
        assert all(p.grad is not None for p in trainer.model.parameters() if p.requires_grad)
        trainer.model.zero_grad(set_to_none=True)


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


def test_the_loss_falls(tmp_path: Path, excerpts: Path, vae_path: Path) -> None:
    trainer = Trainer(config("dragnuwa", tmp_path, excerpts, vae_path))
    source = BatchSource(
        excerpts, LENGTHS, 0, 0, 320, trainer.motion_reader, None, trainer.learner.open_shard
    )
    batch = source.draw(0, StepPlan(lengths={17: 1.0}, window=4))

    def loss() -> float:
        return float(trainer.loss(batch, torch.Generator().manual_seed(0)).detach())

    before = loss()
    for _ in range(15):
        trainer.update(batch)
    assert loss() < 0.9 * before


def test_two_workers_share_the_budget(tmp_path: Path, excerpts: Path, vae_path: Path) -> None:
    run = config("motionctrl", tmp_path, excerpts, vae_path, samples=11, workers=2, single_share=1.0)
    run = replace(
        run, lengths={17: 1.0}, late_lengths={17: 1.0}
    )  # two clips each, so three are left at the end
    probe = Trainer(run)
    exchange = Exchange(2, sum(p.numel() for p in probe.model.parameters() if p.requires_grad))
    exchange.parent = os.getppid()
    trainers = [Trainer(run, rank, exchange) for rank in (0, 1)]
    threads = [threading.Thread(target=t.run) for t in trainers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert [t.clips for t in trainers] == [11, 11]
    assert trainers[0].step == trainers[1].step
    for one, other in zip(*(t.model.parameters() for t in trainers), strict=True):
        assert torch.equal(one, other)


def test_rows_of_steps_that_are_made_again_are_dropped(
    tmp_path: Path, excerpts: Path, vae_path: Path
) -> None:
    run = config("motionctrl", tmp_path, excerpts, vae_path)
    trainer = Trainer(run)
    trainer.step = 20
    trainer._log(1.0, 1.0)
    trainer.save()
    trainer.step = 40
    trainer._log(0.5, 1.0)  # killed before it is saved
    Trainer(run)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["20"]


def test_unknown_models_are_named() -> None:
    assert list(LEARNERS) == ["tora", "wan_move", *RIVALS]
    with pytest.raises(UserError, match=r"unknown model to train 'dragnuva'. Did you mean 'dragnuwa'"):
        learner("dragnuva")
