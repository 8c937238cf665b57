"""Several processes work on one results folder: every sample is made once, and none is lost; a stop is clean."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.conftest import Ran, cli
from tests.fake_parts import config
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
from toraeval.store.claims import is_alive

__all__ = ["cli"]  # the fixture
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)

SHARER = """
import json, os, sys
from tests.fake_parts import registered
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
os.fsync = lambda fd: None
with registered():
    print("ready", flush=True)
    for line in sys.stdin:
        reports = pipeline.run_all([plan_run(each) for each in json.loads(line)], command="test")
        print([report.exit_code for report in reports], flush=True)
"""
STOPPED = """
import sys
from tests.fake_parts import registered
from toraeval.__main__ import main
with registered():
    sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def child(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python in another process, which ends with the block."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def bench(results: Path) -> list[dict[str, Any]]:
    """Return the configs of two models at two lengths, which log every clip that they make."""
    results.mkdir()
    log = str(results / "log")
    return [
        config(results, model={"name": "fake_model", "shift": shift, "log": log}, frames=frames, seeds=[0, 1])
        for frames in (8, 6)
        for shift in (1, 2)
    ]


def tables(results: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.glob("runs/**/*.csv")
        if path.name != "timings.csv"
    }


def shared(folder: Path, processes: int, rounds: int) -> None:
    """Let processes work on empty folders, one after the other; everything is made once and equals a run alone."""
    pipeline.run_all([plan_run(each) for each in bench(folder / "alone")], command="test")
    alone = tables(folder / "alone")
    assert len(alone) >= 12
    with ExitStack() as stack:
        sharers = [stack.enter_context(child(SHARER)) for _ in range(processes)]
        for sharer in sharers:
            assert sharer.stdout is not None
            assert sharer.stdout.readline() == "ready\n"
        for number in range(rounds):
            results = folder / str(number)
            order = json.dumps(bench(results)) + "\n"
            for sharer in sharers:
                assert sharer.stdin is not None
                sharer.stdin.write(order)
                sharer.stdin.flush()
            for sharer in sharers:
                assert sharer.stdout is not None
                assert sharer.stdout.readline() == "[0, 0, 0, 0]\n"
            made = [line.rpartition("/")[0] for line in (results / "log").read_text().splitlines()]
            assert sorted(Counter(made).values()) == [2] * 12, "each case, seed and length once by each model"
            assert tables(results) == alone
            assert not list(results.glob("runs/**/.tmp-*"))
            assert not list(results.glob("runs/*/*/*/.claims"))


@pytest.mark.usefixtures("fakes")
def test_two_processes_share_one_folder(tmp_path: Path) -> None:
    shared(tmp_path, processes=2, rounds=2)


@pytest.mark.slow
@pytest.mark.usefixtures("fakes")
def test_four_processes_share_one_folder_twenty_times(tmp_path: Path) -> None:
    shared(tmp_path, processes=4, rounds=20)


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.long)])
def test_sigterm_keeps_what_is_finished_and_the_same_command_resumes(
    number: int, cli: Callable[..., Ran], tmp_path: Path
) -> None:
    results, log = tmp_path / "results", tmp_path / "log"
    command = [
        "run", "model=fake_model", f"model.log={log}", "model.bad=gamma", "suite=fake_suite", "tracker=fake_tracker",
        "height=64", "width=64", "frames=8", "metric=[traj_error]", f"workers={number}", f"results={results}",
    ]  # fmt: skip
    with child(STOPPED, *command, "model.how=slow") as process:
        while not log.is_file() or "gamma" not in log.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        while sum(path.is_file() for path in results.glob("runs/*/fake_model/*/cases/*/score.json")) < 2:
            time.sleep(0.02)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert time.monotonic() - start < 10
    (table,) = results.glob("runs/*/fake_model/*/cases.csv")
    assert pd.read_csv(table)["status"].tolist() == ["ok", "ok"]
    assert not json.loads((table.parent / "record.json").read_text())["finished"]
    assert cli(*command, "model.how=well").code == 0
    assert pd.read_csv(table)["status"].tolist() == ["ok"] * 3
    made = Counter(line.split("/")[0] for line in log.read_text().splitlines())
    assert made == {"alpha": 1, "beta": 1, "gamma": 2}


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.long)])
def test_kill_leaves_nobody_behind_and_the_same_command_resumes(
    number: int, cli: Callable[..., Ran], tmp_path: Path
) -> None:
    results, log = tmp_path / "results", tmp_path / "log"
    command = [
        "run", "model=fake_model", f"model.log={log}", "model.bad=beta", "suite=fake_suite", "tracker=fake_tracker",
        "height=64", "width=64", "frames=8", "metric=[traj_error]", f"workers={number}", f"results={results}",
    ]  # fmt: skip
    with child(STOPPED, *command, "model.how=slow") as process:
        while not log.is_file() or "beta" not in log.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait(60)
    workers = {int(line.rpartition("/")[2]) for line in log.read_text().splitlines()}
    deadline = time.monotonic() + 30
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert cli(*command, "model.how=well").code == 0
    (table,) = results.glob("runs/*/fake_model/*/cases.csv")
    assert pd.read_csv(table)["status"].tolist() == ["ok"] * 3
    assert not list(results.glob("runs/*/*/*/.claims"))
    assert not list(results.glob("runs/**/.tmp-*"))
