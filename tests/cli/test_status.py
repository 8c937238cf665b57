"""`status` and `requeue` from another terminal, while a command works and after it was killed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.fake_parts import COMMAND

pytestmark = pytest.mark.timeout(300)

Cli = Callable[..., Any]


def test_status_follows_a_command_and_requeue_hands_it_a_failed_sample(
    cli: Cli, fake: tuple[str, ...], tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    log.write_text("")
    model = [f"model.log={log}", "model.bad=alpha,gamma", "model.how=gate"]
    command = ["run", "model=fake_model", *model, *fake, "floor=false"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *command, f"results={tmp_path / 'results'}"], cwd=root
    ) as process:
        try:
            while "gamma" not in log.read_text():  # alpha has failed, gamma waits at the gate
                assert process.poll() is None
                time.sleep(0.02)
            ran = cli("status", "results")
            assert ran.code == 1
            assert "| fake_model 8f |       3 |      1 |         1 |        1 |      1 |" in ran.out
            assert "failed: " in ran.out
            assert "cases/alpha: UserError" not in ran.out
            assert "cases/alpha: not yet" in ran.out
            assert f"process {process.pid} on " in ran.out
            assert ", running, last sample " in ran.out
            assert "1 of 3 done, 1 running, 1 failed, 1 left, about " in ran.out

            again = cli("requeue", "results")
            assert "results/runs/fake_suite-v1/fake_model/" in again.out
            assert "1 failed sample is tried again" in again.out
            assert "1 of 3 done, 1 running, 0 failed, 2 left" in cli("status", "results").out
            gate.write_text("")
            assert process.wait(60) == 0
        finally:
            process.kill()
    (table,) = tmp_path.glob("results/runs/*/fake_model/*/cases.csv")
    assert pd.read_csv(table)["status"].tolist() == ["ok"] * 3
    ran = cli("status", "results")
    assert (ran.code, "3 of 3 done, 0 running, 0 failed, 0 left\n" in ran.out) == (0, True)
    assert ", ended, last sample" in ran.out
    assert re.search(
        r"^busy: generate \d+ %, encode \d+ %, track \d+ %, score \d+ % of \d+ s$", ran.out, re.MULTILINE
    )


def test_one_failed_sample_can_be_named(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    assert cli("run", "model=fake_model", "model.bad=beta", *fake).code == 1
    (run,) = tmp_path.glob("results/runs/*/fake_model/*")
    wrong = cli("requeue", str(run), "alpha")
    assert (wrong.code, "alpha: not a failed sample" in wrong.err) == (2, True)
    assert "failed: beta" in wrong.err
    ran = cli("requeue", str(run), "beta")
    assert ran.code == 0
    assert "command: python -m toraeval run" in ran.out or "command: " in ran.out
    assert not (run / "cases" / "beta" / "failure.json").exists()


def test_without_anything_there_one_line_says_so(cli: Cli, tmp_path: Path) -> None:
    for verb in ("status", "requeue"):
        ran = cli(verb, str(tmp_path / "nothing"))
        assert (ran.code, ran.err.count("\n")) == (2, 1)
