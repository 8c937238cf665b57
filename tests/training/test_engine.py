"""The loop: equal to a plain one, the same after a kill, interruption, and what it refuses."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.full_size import CONFIG, RECIPE, Drawn, engine, weights
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.training.data.batch import Batch
from toraeval.training.engine import log
from toraeval.training.engine.distributed import checkpoints
from toraeval.training.engine.parts import draws
from toraeval.training.recipes.full_recipe import GuidedNetwork, loss
from toraeval.types import UserError

SCRIPT = Path(__file__).with_name("full_size.py")


def run_all(folder: Path, **options: Any) -> dict[str, Tensor]:
    """Train to the end in this process and return everything that can differ."""
    with engine(folder, **options) as (run, world):
        assert run.run() == 0
        return weights(run, world)


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.long
@pytest.mark.timeout(300)  # starts a process, which imports torch
def test_a_killed_run_goes_on_to_the_same_weights_and_log(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    killed.mkdir()
    whole.mkdir()
    step = random.SystemRandom().randrange(6)  # made, but not finished, when the kill comes
    print(f"killed while step {step} is made")  # noqa: T201
    command = [sys.executable, str(SCRIPT), str(killed), "6", str(step)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])}) as process:
        expected = run_all(whole)
        assert process.wait(280) == -signal.SIGKILL
    kept = [number for number, _ in checkpoints(killed / "checkpoints")] if step >= 2 else [0]
    assert kept[-1] == step // 2 * 2
    rows = log.read_rows(killed / "log.csv") if step else []
    assert [row["step"] for row in rows] == [str(number) for number in range(1, step + 1)]
    assert_equal(run_all(killed), expected)
    told = [[row | {"seconds": ""} for row in log.read_rows(f / "log.csv")] for f in (whole, killed)]
    assert told[0] == told[1]
    assert [row["step"] for row in told[0]] == [str(step) for step in range(1, 7)]


def plain_loop(steps: int) -> tuple[ToraNetwork, dict[str, Tensor]]:
    """The same training written down without shards, engine or recipe's bookkeeping."""
    torch.manual_seed(0)
    model = ToraNetwork(CONFIG)
    model.rope.freqs.requires_grad_(False)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    average = {n: p.detach().clone() for n, p in trained.items()}
    network, source = GuidedNetwork(model), Drawn()
    for step in range(steps):
        if step in (0, 3):
            optimizer = torch.optim.AdamW(
                trained.values(), betas=RECIPE.betas, eps=RECIPE.eps, weight_decay=0.0
            )
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, (step % 3 + 1) / 2)
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        before = [(m.running_mean.clone(), m.running_var.clone()) for m in norms]
        after = []
        for number in range(2):
            generator = draws(5, "loss", step, number)
            (loss(network, source.batch(step, number), RECIPE, generator) / 2).backward()
            after.append([(m.running_mean.clone(), m.running_var.clone()) for m in norms])
            for m, (mean, var) in zip(norms, before, strict=True):
                m.running_mean, m.running_var = mean.clone(), var.clone()
        for k, m in enumerate(norms):
            m.running_mean = (after[0][k][0] + after[1][k][0]) / 2
            m.running_var = (after[0][k][1] + after[1][k][1]) / 2
            m.num_batches_tracked.fill_(step + 1)
        nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        for n, p in trained.items():
            average[n] = 0.99 * average[n] + 0.01 * p.detach()
    return model, average


def test_steps_equal_a_loop_without_shards(tmp_path: Path) -> None:
    model, average = plain_loop(5)
    found = run_all(tmp_path, recipe=replace(RECIPE, stage_steps=(3, 2)), save_every=9)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=2e-6, rtol=1e-5, msg=name)
    for name, value in average.items():
        torch.testing.assert_close(found[f"average.{name}"], value, atol=2e-6, rtol=1e-5, msg=name)
    assert not torch.equal(found["final_layer.linear.weight"], found["average.final_layer.linear.weight"])


def test_only_motion_parts_move_when_asked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = ToraNetwork(CONFIG).state_dict()
    found = run_all(tmp_path, recipe=replace(RECIPE, stage_steps=(0, 3), trainable="motion"), save_every=9)
    moved = {name for name, value in before.items() if not torch.equal(found[name], value)}
    motion = {n for n in before if n.startswith(("traj_extractor.", "fuser."))}
    # zero-initialised fusers pass no gradient to the extractor in their first step only
    assert moved <= motion
    assert {"fuser.0.flow_gamma_temporal.weight", "traj_extractor.conv_in.weight"} <= moved
    assert {n for n in found if n.startswith("optimizer.")} == {
        f"optimizer.{n}.{k}"
        for n, p in ToraNetwork(CONFIG).named_parameters()
        if n in motion
        for k in ("step", "exp_avg", "exp_avg_sq")
    }


def test_gradient_checkpointing_changes_nothing(tmp_path: Path) -> None:
    found = []
    for checkpointing in (False, True):
        folder = tmp_path / str(checkpointing)
        folder.mkdir()
        with engine(folder, replace(RECIPE, stage_steps=(1, 1)), save_every=9) as (run, world):
            run.model.checkpointing = checkpointing
            run.run()
            found.append(weights(run, world))
    assert_equal(*found)


def test_bf16_follows_fp32(tmp_path: Path) -> None:
    rows = []
    for precision in ("fp32", "bf16"):
        folder = tmp_path / precision
        folder.mkdir()
        found = run_all(folder, recipe=replace(RECIPE, stage_steps=(2, 1)), precision=precision, save_every=9)
        assert all(value.dtype != torch.bfloat16 for value in found.values())
        rows.append([float(row["loss"]) for row in log.read_rows(folder / "log.csv")])
    assert rows[0] != rows[1]
    torch.testing.assert_close(*(torch.tensor(r) for r in rows), rtol=5e-3, atol=0)


def test_ctrl_c_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored in shells' background jobs
    with engine(tmp_path, save_every=100) as (run, _):
        drawn = run.source.batch

        def batch(step: int, number: int) -> Batch:
            if (step, number) == (1, 0):
                os.kill(os.getpid(), signal.SIGINT)
            return drawn(step, number)

        run.source.batch = batch  # type: ignore[method-assign]
        assert run.run() == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert [step for step, _ in checkpoints(tmp_path / "checkpoints")] == [2]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    def spoil(model: ToraNetwork) -> None:
        model.final_layer.linear.bias.data[0] = float("nan")

    with (
        engine(tmp_path, prepare=spoil) as (run, _),
        pytest.raises(UserError, match="step 0 has loss nan"),
    ):
        run.run()
    assert checkpoints(tmp_path / "checkpoints") == []


def test_old_checkpoints_go_and_unfinished_ones_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "step-00000099.tmp").mkdir(parents=True)
    run_all(tmp_path, recipe=replace(RECIPE, stage_steps=(2, 2)), save_every=1)
    assert [step for step, _ in checkpoints(tmp_path / "checkpoints")] == [3, 4]


def test_tensorboard_gets_every_step(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = log.Log(tmp_path, 0, tensorboard=True)
    for step in (1, 2):
        writer.write({"step": step, "stage": "dense", "loss": 0.5 * step, "lr": 0.1})
    writer.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("dense/loss")
    assert [(e.step, e.value) for e in events] == [(1, 0.5), (2, 1.0)]
