"""The training loop on a tiny network: phases, averages, and going on after a kill as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder, fit
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.network.model import Tora
from toraeval.training.data.batches import BatchSource, StepPlan
from toraeval.training.engine.optimizers import split_parameters
from toraeval.training.recipes import nano
from toraeval.training.recipes.nano import Exchange, TrainConfig, Trainer
from toraeval.types import UserError

STEPS = 6


@pytest.fixture
def config(tmp_path: Path, shards: Path, vae_path: Path, tiny_size: STDiTConfig) -> TrainConfig:
    """Six steps, of which every third takes whole pictures and the others windows; saved after every step."""
    return TrainConfig(
        data=str(shards),
        out=str(tmp_path / "run"),
        vae=str(vae_path),
        minutes=STEPS / 60,
        dense_share=0.0,
        window_share=1.0,
        single_share=0.0,
        warmup_steps=2,
        save_minutes=0.0,
        workers=1,
        tokens=320,
        lengths={17: 0.7, 33: 0.3},
    )


def run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, kill_at: int | None = None
) -> tuple[Trainer, list[float]]:
    """Train to the end, or until the step `kill_at` is done but not yet saved."""
    losses: list[float] = []
    update = Trainer.update

    def watched(self: Trainer, batch: Any) -> tuple[float, float]:
        result = update(self, batch)
        losses.append(result[0])
        if self.step == kill_at:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", watched)
        trainer = Trainer(config)
        if kill_at is None:
            trainer.run()
        else:
            with pytest.raises(KeyboardInterrupt):
                trainer.run()
    return trainer, losses


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.usefixtures("clock")
def test_a_killed_run_goes_on_to_the_same_weights(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, losses = run(config, monkeypatch)
    assert whole.step == len(losses) == STEPS
    again = replace(config, out=str(tmp_path / "killed"))
    _, before = run(again, monkeypatch, kill_at=3)
    torch.rand(5)
    resumed, after = run(again, monkeypatch)
    assert before == losses[:4]
    assert after == losses[3:]  # the step that was done but not saved is done again
    assert (resumed.step, resumed.clips, resumed.seconds) == (whole.step, whole.clips, whole.seconds)
    assert equal(resumed.model.state_dict(), whole.model.state_dict())
    assert equal(resumed.average, whole.average)
    finished, nothing = run(again, monkeypatch)
    assert nothing == []
    assert equal(finished.average, whole.average)


@pytest.mark.usefixtures("clock")
def test_a_kill_while_saving_leaves_the_state_before(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, _ = run(config, monkeypatch, kill_at=2)
    saved = Trainer(config)
    assert saved.step == 2

    def half(state: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        trainer.save()
    later = Trainer(config)
    assert later.step == 2
    assert equal(later.model.state_dict(), saved.model.state_dict())


@pytest.mark.usefixtures("clock")
def test_training_learns_and_its_average_follows(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = {k: v.clone() for k, v in Trainer(config).model.state_dict().items()}
    trainer, losses = run(replace(config, minutes=20 / 60, save_minutes=1e9), monkeypatch)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert not equal(trainer.average, start)
    assert not equal(trainer.average, trainer.model.state_dict())
    rows = list(csv.DictReader((trainer.out / "log.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["20"]
    assert rows[0]["motion"] == "sparse"
    assert int(rows[0]["clips"]) > 20
    assert json.loads((trainer.out / "config.json").read_text())["tokens"] == 320


def test_phases_follow_the_time(config: TrainConfig) -> None:
    trainer = Trainer(replace(config, dense_share=0.2, single_share=0.4, window_share=0.6, minutes=100 / 60))
    late = trainer.config.late_lengths

    def plan(seconds: float, step: int = 1) -> StepPlan:
        trainer.seconds = seconds
        return trainer.plan(step)

    lengths = config.lengths
    assert plan(0) == StepPlan("dense", lengths, 1, 5)
    assert plan(19.9).motion == "dense"
    assert plan(20) == StepPlan("sparse", lengths, 1, 5)
    assert plan(39, step=3).window == 5
    assert plan(40) == StepPlan("sparse", lengths, 1, 5)
    assert plan(40, step=3) == StepPlan("sparse", lengths, 3)
    assert plan(60) == StepPlan("sparse", late, 1, 5)
    assert plan(60, step=2) == StepPlan("sparse", late, 3)
    assert plan(60, step=4) == StepPlan("sparse", late, 3, min_objects=2)


def test_learning_rate_warms_up_and_decays(config: TrainConfig) -> None:
    trainer = Trainer(replace(config, warmup_steps=10, decay_share=0.5, minutes=100 / 60))
    factors = []
    for step, seconds in ((0, 0), (4, 1), (9, 2), (500, 49), (600, 75), (700, 100), (701, 101)):
        trainer.step, trainer.seconds = step, seconds
        factors.append(round(trainer.learning_factor(), 6))
    assert factors == [0.1, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]


def test_loss_comes_from_batch_and_generator_alone(config: TrainConfig, shards: Path) -> None:
    trainer = Trainer(config)
    source = BatchSource(shards, {17: 1.0}, tokens=320)
    for window in (None, 4):
        batch = source.draw(0, StepPlan(window=window))
        first, again, other = (
            float(trainer.loss(batch, torch.Generator().manual_seed(seed)).detach()) for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other
        assert 0 < first < 1e3


def test_the_word_for_nothing_is_trained_too(config: TrainConfig, shards: Path) -> None:
    batch = BatchSource(shards, {17: 1.0}, tokens=320).draw(0, StepPlan())
    for dropout, expected in ((0.0, True), (1.0, False)):
        trainer = Trainer(replace(config, text_dropout=dropout))
        trainer.loss(batch, torch.Generator().manual_seed(0)).backward()
        assert trainer.model.text_encoder is not None
        grad = trainer.model.text_encoder.words.weight.grad
        assert (grad is not None and bool(grad.any())) == expected


def test_parameters_are_split_once(tiny_size: STDiTConfig) -> None:
    model = Tora(tiny_size)
    matrices, others = split_parameters(model)
    assert {id(p) for p in matrices}.isdisjoint(id(p) for p in others)
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert len(matrices) + len(others) == len(trainable)
    assert all(p.ndim == 2 for p in matrices)
    names = {id(p): n for n, p in model.named_parameters()}
    kinds = {names[id(p)].split(".", 2)[2] for p in matrices}
    assert kinds == {
        f"{part}.weight"
        for part in (
            "attn.qkv",
            "attn.proj",
            "cross_attn.q_linear",
            "cross_attn.kv_linear",
            "cross_attn.proj",
        )
    } | {"mlp.fc1.weight", "mlp.fc2.weight"}


def test_workers_get_the_same_mean_gradient() -> None:
    exchange = Exchange(2, 5)
    parameters = [[torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(3))] for _ in range(2)]

    def work(rank: int) -> None:
        for step in range(3):
            for p in parameters[rank]:
                p.grad = torch.full_like(p, float(1 + 2 * rank + step))
            exchange.average(parameters[rank], rank, step)
            results[rank].append([p.grad.clone() for p in parameters[rank] if p.grad is not None])

    results: list[list[list[torch.Tensor]]] = [[], []]
    threads = [threading.Thread(target=work, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for rank in (0, 1):
        means = [[float(g.mean()) for g in grads] for grads in results[rank]]
        assert means == [[2.0, 2.0], [3.0, 3.0], [4.0, 4.0]]


def test_training_begins_from_given_weights(
    config: TrainConfig, tmp_path: Path, tiny_size: STDiTConfig, vae: LinearPatchAutoencoder
) -> None:
    torch.manual_seed(5)
    weights, path = Tora(tiny_size).state_dict(), tmp_path / "start.safetensors"
    checkpoint.save(path, weights, vae, {})
    trainer = Trainer(replace(config, start=str(path)))
    expected = {k: v.to(torch.bfloat16).to(v.dtype) for k, v in weights.items()}
    assert equal(trainer.model.state_dict(), expected)
    assert equal(trainer.average, expected)
    other = fit(torch.randint(0, 256, (40, 12288), dtype=torch.uint8), vae.components)
    checkpoint.save(path, weights, other, {})
    with pytest.raises(UserError, match="trained with another autoencoder"):
        Trainer(replace(config, start=str(path)))


def test_other_seeds_begin_elsewhere(config: TrainConfig, tmp_path: Path) -> None:
    first, same, other = (Trainer(replace(config, seed=seed)).model.state_dict() for seed in (0, 0, 1))
    assert equal(first, same)
    assert not equal(first, other)


@pytest.mark.usefixtures("clock")
def test_train_runs_a_single_worker_in_this_process(config: TrainConfig) -> None:
    nano.train(replace(config, minutes=2 / 60))
    assert Trainer(config).step == 2


def test_an_interrupt_ends_the_run_after_its_step_and_saves(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored in shells' background jobs
    steps = replace(config, steps=50)
    update = Trainer.update

    def interrupted(self: Trainer, batch: object) -> tuple[float, float]:
        result = update(self, batch)  # type: ignore[arg-type]
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(Trainer, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nano.train(steps)
    assert Trainer(steps).step == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_workers_stop_when_asked_or_orphaned() -> None:
    exchange = Exchange(1, 1)
    exchange.parent = os.getppid()
    assert exchange.agree(0, 5, 3.0) == (5, 3.0, False)
    exchange.stop[0] = True
    assert exchange.agree(0, 5, 4.0) == (5, 4.0, True)
    exchange = Exchange(1, 1)  # of a parent that is not ours
    assert exchange.agree(0, 5, 5.0) == (5, 5.0, True)
