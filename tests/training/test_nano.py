"""The training loop on a tiny network: phases, averages, and going on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import interrupted
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder, fit
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.training.data.batches import BatchSource, StepPlan
from toraeval.training.engine import distributed
from toraeval.training.engine.distributed import World
from toraeval.training.engine.engine import Engine
from toraeval.training.engine.log import read_rows
from toraeval.training.engine.parts import Counters
from toraeval.training.recipes import nano
from toraeval.training.recipes.nano import split_parameters
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.types import UserError

STEPS = 6


@pytest.fixture
def config(tmp_path: Path, shards: Path, vae_path: Path, tiny_size: STDiTConfig) -> NanoRecipe:
    """Six steps, of which every third takes whole pictures and the others windows; saved after every step."""
    return NanoRecipe(
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


def run(recipe: NanoRecipe, world: World) -> Engine:
    """Train to the end."""
    engine = nano.build(recipe, world)
    assert engine.run() == 0
    return engine


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def kept(engine: Engine) -> dict[str, torch.Tensor]:
    """Everything that must be equal between two runs."""
    state = engine.state()
    flat = {f"average.{k}": v for k, v in state["average"].items()} | state["model"]
    for name, moments in state["optimizer"].items():
        flat |= {f"optimizer.{name}.{key}": value for key, value in moments.items()}
    return flat


@pytest.mark.long
@pytest.mark.usefixtures("clock")
def test_a_killed_run_resumes_to_the_same_weights(
    config: NanoRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    whole = run(config, world)
    assert whole.done.step == STEPS
    again = replace(config, out=str(tmp_path / "killed"))
    saves = []

    def killed(self: Engine) -> None:  # the fourth step is done, but not saved
        saves.append(self.done.step)
        if self.done.step == 4:
            raise RuntimeError("killed")
        Engine.save(self)

    engine = nano.build(again, world)
    monkeypatch.setattr(engine, "save", partial(killed, engine))
    with pytest.raises(RuntimeError, match="killed"):
        engine.run()
    assert saves == [1, 2, 3, 4]
    torch.rand(5)
    resumed = nano.build(again, world)
    assert resumed.done.step == 3
    assert resumed.run() == 0
    assert resumed.done == whole.done
    assert equal(kept(resumed), kept(whole))
    finished = nano.build(again, world)
    assert finished.finished
    assert equal(kept(finished), kept(whole))


@pytest.mark.usefixtures("clock")
def test_a_kill_while_saving_leaves_the_state_before(
    config: NanoRecipe, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    engine = run(config, world)
    before = {name: value.clone() for name, value in kept(engine).items()}
    unfinished = engine.checkpoint_folder / f"step-{STEPS + 1:08d}.tmp"

    def half(*_: Any, **__: Any) -> None:
        unfinished.mkdir(exist_ok=True)
        (unfinished / "__0_0.distcp").write_bytes(b"half")
        raise KeyboardInterrupt

    engine.done.step += 1
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "save_state", half)
        with pytest.raises(KeyboardInterrupt):
            engine.save()
    assert unfinished.exists()
    later = nano.build(config, world)
    assert later.done.step == STEPS
    assert equal(kept(later), before)


@pytest.mark.usefixtures("clock")
def test_training_learns_and_its_average_follows(config: NanoRecipe, world: World) -> None:
    start = {k: v.clone() for k, v in nano.NanoObjective(config).model.state_dict().items()}
    longer = replace(config, minutes=40 / 60, save_minutes=1e9, warmup_steps=2)
    engine = run(longer, world)
    assert not equal(engine.average, {k: v for k, v in start.items() if k in engine.average})
    assert not equal(engine.average, dict(engine.model.state_dict()))
    rows = read_rows(Path(config.out) / "log.csv")
    assert [row["step"] for row in rows] == ["20", "40"]
    assert float(rows[1]["loss"]) < 0.9 * float(rows[0]["loss"])
    assert rows[0]["motion"] == "sparse"
    assert int(rows[0]["clips"]) > 20
    assert json.loads((Path(config.out) / "run.json").read_text())["tokens"] == 320


def test_the_recipe_of_a_run_is_read_back(config: NanoRecipe, world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in"):
        nano.stored(tmp_path)
    nano.build(config, world)
    assert nano.stored(Path(config.out)) == config


@pytest.mark.usefixtures("clock")
def test_other_options_and_states_of_older_code_are_refused(
    config: NanoRecipe, world: World, tmp_path: Path
) -> None:
    run(replace(config, steps=1), world)
    with pytest.raises(
        UserError, match=r"lr_other differs from what the run in .* began with \(was 0.002, is"
    ):
        nano.build(replace(config, steps=2, lr_other=1.0), world)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "state.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"state.pt was written by an older version .* folder=PATH"):
        nano.build(replace(config, out=str(tmp_path / "old")), world)


def test_phases_follow_the_time(config: NanoRecipe) -> None:
    recipe = replace(config, dense_share=0.2, single_share=0.4, window_share=0.6, minutes=100 / 60)
    late = recipe.late_lengths

    def plan(seconds: float, step: int = 1) -> StepPlan:
        return recipe.plan(Counters(step, 0, seconds))

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


def test_learning_rate_warms_up_and_decays(config: NanoRecipe) -> None:
    recipe = replace(config, warmup_steps=10, decay_share=0.5, minutes=100 / 60)
    places = ((0, 0), (4, 1), (9, 2), (500, 49), (600, 75), (700, 100), (701, 101))
    factors = [round(recipe.factor(Counters(step, 0, seconds)), 6) for step, seconds in places]
    assert factors == [0.1, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]


def test_loss_comes_from_batch_seed_and_step_alone(config: NanoRecipe, shards: Path) -> None:
    objective = nano.NanoObjective(config)
    source = BatchSource(shards, {17: 1.0}, tokens=320)
    for window in (None, 4):
        batch = source.draw(0, StepPlan(window=window))
        first, again, other = (float(objective.loss(batch, step, 0)[0].detach()) for step in (1, 1, 2))
        assert first == again
        assert first != other
        assert 0 < first < 1e3


def test_the_word_for_nothing_is_trained_too(config: NanoRecipe, shards: Path) -> None:
    batch = BatchSource(shards, {17: 1.0}, tokens=320).draw(0, StepPlan())
    for dropout, expected in ((0.0, True), (1.0, False)):
        objective = nano.NanoObjective(replace(config, text_dropout=dropout))
        objective.loss(batch, 0, 0)[0].backward()
        assert objective.model.text_encoder is not None
        grad = objective.model.text_encoder.words.weight.grad
        assert (grad is not None and bool(grad.any())) == expected


def test_parameters_are_split_once(tiny_size: STDiTConfig) -> None:
    model = ToraNetwork(tiny_size)
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


def test_training_begins_from_given_weights(
    config: NanoRecipe, tmp_path: Path, tiny_size: STDiTConfig, vae: LinearPatchAutoencoder
) -> None:
    torch.manual_seed(5)
    weights, path = ToraNetwork(tiny_size).state_dict(), tmp_path / "start.safetensors"
    checkpoint.save(path, weights, vae, {})
    begun = nano.NanoObjective(replace(config, start=str(path)))
    expected = {k: v.to(torch.bfloat16).to(v.dtype) for k, v in weights.items()}
    assert equal(begun.model.state_dict(), expected)
    other = fit(torch.randint(0, 256, (40, 12288), dtype=torch.uint8), vae.components)
    checkpoint.save(path, weights, other, {})
    with pytest.raises(UserError, match="trained with another autoencoder"):
        nano.NanoObjective(replace(config, start=str(path)))


def test_other_seeds_begin_elsewhere(config: NanoRecipe) -> None:
    first, same, other = (
        nano.NanoObjective(replace(config, seed=seed)).model.state_dict() for seed in (0, 0, 1)
    )
    assert equal(first, same)
    assert not equal(first, other)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_run_after_its_step_and_saves(
    config: NanoRecipe, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored in shells' background jobs
    steps = replace(config, steps=50)
    assert interrupted(lambda: nano.train(steps), 3, number) == 130
    assert "stopped after step 3; the same command resumes" in capsys.readouterr().err
    with distributed.processes("cpu") as alone:
        assert nano.build(steps, alone).done.step == 3
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.long
@pytest.mark.timeout(300)  # starts two processes, which import torch
def test_two_workers_share_the_budget_and_average_their_gradients(
    config: NanoRecipe, world: World, tmp_path: Path
) -> None:
    lengths = {17: 1.0}
    pair = replace(
        config,
        samples=11,
        workers=2,
        single_share=1.0,
        lengths=lengths,
        late_lengths=lengths,
        save_minutes=1e9,
    )
    found = nano.result(pair, nano.Ending(tmp_path / "pair.safetensors"))
    assert json.loads((tmp_path / "pair.json").read_text())["hardware"].startswith("2 process(es) on cpu")

    both = nano.NanoObjective(pair)  # the same steps in one process
    drawings = [BatchSource(Path(pair.data), lengths, 0, rank, 320) for rank in (0, 1)]
    optimizers, done = both.optimizers(), Counters()
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    while pair.progress(done) < 1.0:
        batches = [drawing.draw(done.step, pair.plan(done)) for drawing in drawings]
        left = pair.samples - done.clips  # type: ignore[operator]
        for rank, batch in enumerate(batches):
            batches[rank] = batch.first((left + 1 - rank) // 2)
            (both.loss(batches[rank], done.step, rank)[0] / 2).backward()
        torch.nn.utils.clip_grad_norm_(both.clipped(), 1.0)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = pair.learning_rate(rate, done)
            optimizer.step()
            optimizer.zero_grad()
        done = Counters(done.step + 1, done.clips + sum(map(len, batches)))
    assert (found["clips"], found["steps"]) == (done.clips, done.step) == (11, done.step)
    assert done.step > 1
    resumed = nano.build(replace(pair, workers=1), world)
    for name, value in both.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, atol=1e-4, rtol=1e-3, msg=name)
