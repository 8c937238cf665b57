"""A sweep ends like its jobs on their own, whatever launcher runs them, and prints one table of all."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from toraeval import optional
from toraeval.cli import jobs, overrides
from toraeval.cli.jobs import Done, HydraJob
from toraeval.types import MissingAsset, UserError

Cli = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]


def execute(values: dict[str, Any], command: str) -> Done:
    """End as the seed says: 0 and 1 with a row, 2 and 3 with the exception of this exit code."""
    sys.stdout.write(f"printed by job {values['seed']}\n")
    if values["seed"] == 2:
        raise UserError("wrong input")
    if values["seed"] == 3:
        raise MissingAsset("weights are missing")
    row = {"model": values["model"], "frames": 8, "traj_error": 0.5 + values["seed"]}
    return Done(values["seed"], [row])


def swept(launcher: str, seeds: str) -> tuple[list[Done], list[list[str]]]:
    texts = [f"seed={seeds}", f"hydra/launcher={launcher}", "folder=out"]
    checked = overrides.check("train", texts, multirun=True)
    return jobs.sweep("train", checked.overrides, HydraJob(execute, "the command"))


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_exit_codes_and_failures_reach_the_caller(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in overrides.LAUNCHERS.get(launcher, ("", ()))[1]:
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    ended, words = swept(launcher, "0,1,2,3")
    assert [job.exit_code for job in ended] == [0, 1, 2, 3]
    assert [job.error for job in ended[2:]] == ["error: wrong input", "error: weights are missing"]
    jobs.report(ended, words, "the command")
    printed = capsys.readouterr()
    assert [printed.out.count(f"printed by job {seed}") for seed in range(4)] == [1, 1, 1, 1]
    table = printed.out.split("sweep of 4 jobs, 1 done:\n")[1].splitlines()
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:4]] == [
        ["seed=0", "tora", "8", "0.5"],
        ["seed=1", "tora", "8", "1.5"],
    ]
    assert table[4] == "command: the command"
    assert printed.err.splitlines()[-3:] == [
        "exit code 1: seed=1: some cases failed",
        "exit code 2: seed=2: wrong input",
        "exit code 3: seed=3: weights are missing",
    ]


def test_exit_codes_reach_the_caller_through_submitit(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    script = (
        "from tests.faults.test_sweeps import swept\n"
        "ended, _ = swept('submitit_local', '0,3')\n"
        "print([(job.exit_code, job.error, job.printed) for job in ended])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == (
        "[(0, '', 'printed by job 0\\n'), (3, 'error: weights are missing', 'printed by job 3\\n')]\n"
    )


def test_a_job_in_another_process_hands_back_what_it_printed() -> None:
    elsewhere = HydraJob(execute, "the command", caller=os.getpid() + 1)(
        OmegaConf.create({"model": "tora", "seed": 0})
    )
    assert (elsewhere.exit_code, elsewhere.printed) == (0, "printed by job 0\n")
    failed = HydraJob(execute, "the command", caller=os.getpid() + 1)(
        OmegaConf.create({"model": "tora", "seed": 3})
    )
    assert (failed.exit_code, failed.error) == (3, "error: weights are missing")


def test_what_a_job_needs_and_tells_can_be_sent_to_another_process() -> None:
    sender, receiver = multiprocessing.Pipe()
    for value in (HydraJob(execute, "the command"), Done(3, [{"model": "tora"}], "error: x", "printed")):
        sender.send(value)
        assert receiver.recv() == value


def test_a_missing_launcher_is_named_with_the_command_that_installs_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        optional, "probe", lambda module: optional.Probe(module, False, reason="not installed")
    )
    for launcher, extra in (("joblib", "joblib"), ("submitit_local", "slurm"), ("submitit_slurm", "slurm")):
        ran = cli("run", "-m", f"hydra/launcher={launcher}", "frames=16,32")
        assert (ran.code, ran.err.count("\n")) == (3, 1)
        assert f"pip install -e '.[{extra}]'" in ran.err
    ran = cli("run", "-m", "hydra/launcher=joblb", "frames=16,32")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "Did you mean 'joblib'?" in ran.err


def test_a_sweep_prints_one_table_of_all_jobs(cli: Cli, fake: tuple[str, ...]) -> None:
    ran = cli("run", "-m", "model=fake_model", "model.shift=1,2", *fake)
    assert ran.code == 0
    table = ran.out.split("sweep of 2 jobs, 2 done:\n")[1].splitlines()
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["model.shift=1", "model.shift=2"]
    assert table[-1].startswith("command: python -m toraeval run -m model=fake_model model.shift=1,2")


def test_a_launcher_without_a_sweep_says_that_it_does_nothing(cli: Cli, fake: tuple[str, ...]) -> None:
    ran = cli("run", "model=fake_model", *fake, "hydra/launcher=basic", "dry_run=true")
    assert ran.code == 0
    assert "note: hydra/launcher acts on the jobs of a sweep only" in ran.err
