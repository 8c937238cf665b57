"""Two processes under torchrun train what one does; their checkpoints resume in another number of processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.full_size import CONFIG, RECIPE, engine, weights
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.training.engine import log
from toraeval.training.engine.distributed import World, checkpoints, load, processes
from toraeval.training.engine.engine import check_spread
from toraeval.types import UserError

SCRIPT = Path(__file__).with_name("full_size.py")
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def losses(folder: Path) -> Tensor:
    rows = log.read_rows(folder / "log.csv")
    return torch.tensor([[float(row["loss"]), float(row["grad_norm"])] for row in rows])


@pytest.mark.long
@pytest.mark.timeout(300)  # starts processes, which import torch
def test_two_processes_train_what_one_does_and_their_checkpoint_goes_on_in_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])}
    with subprocess.Popen([*LAUNCH, str(SCRIPT), str(two), "6", "-1"], env=environment) as process:
        with engine(one, save_every=9) as (run, world):
            assert run.run() == 0
            expected = weights(run, world)
        assert process.wait(280) == 0
    assert losses(two).shape == (6, 2)
    torch.testing.assert_close(losses(two), losses(one), rtol=1e-5, atol=1e-5)
    found = torch.load(two / "weights.pt", weights_only=True)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-4, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}"
        )

    (step, _), _ = checkpoints(two / "checkpoints")
    assert step == 4
    shutil.rmtree(two / "checkpoints" / "step-00000006")
    with engine(two) as (run, world):
        assert run.done.step == 4
        run.run()
        resumed = weights(run, world)
    for name, value in found.items():
        torch.testing.assert_close(
            resumed[name], value, rtol=1e-4, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_batches_that_cannot_be_spread_are_refused() -> None:
    world = World(0, 4, torch.device("cpu"), None)  # type: ignore[arg-type]
    check_spread(replace(RECIPE, batches_per_step=8), world)
    with pytest.raises(UserError, match=r"batches_per_step=6 with 4 processes; .* e.g. batches_per_step=8"):
        check_spread(replace(RECIPE, batches_per_step=6), world)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"process 2 of this machine has no GPU; allowed: .*=2 at most"):
        processes("cuda").__enter__()


def test_a_checkpoint_that_lacks_a_file_or_is_of_another_network_is_refused(tmp_path: Path) -> None:
    with engine(tmp_path, replace(RECIPE, stage_steps=(1, 0))) as (run, _):
        run.run()
        state = run.state()
        ((_, path),) = checkpoints(tmp_path / "checkpoints")
        state["model"]["surplus.weight"] = torch.zeros(2)
        with pytest.raises(UserError, match=r"cannot be read .*surplus.weight.*; remove it to resume"):
            load(path, state)
        for file in path.glob("*.distcp"):
            file.unlink()
        with pytest.raises(UserError, match="step-00000001 cannot be read"):
            load(path, run.state())


def test_names_and_types_stay_those_of_the_network(tmp_path: Path) -> None:
    with engine(tmp_path, precision="bf16") as (run, world):
        found = weights(run, world)
    plain = ToraNetwork(CONFIG).state_dict()
    assert {n: (v.shape, v.dtype) for n, v in plain.items()} == {
        n: (v.shape, v.dtype) for n, v in found.items() if not n.startswith(("average.", "optimizer."))
    }
