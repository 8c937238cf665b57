"""Several processes work on one results folder: every sample is made once, and none is lost; a stop is clean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.conftest import Ran, cli
from tests.fake_parts import COMMAND, config
from tests.run.conftest import Child
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
from toraeval.store.claims import is_alive

__all__ = ["cli"]  # the fixture
pytestmark = pytest.mark.timeout(300)

STOP_S = 10.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""Ten seconds of a machine that has nothing else to do."""
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


def shared(child: Child, folder: Path, processes: int, rounds: int) -> None:
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


@pytest.mark.long
@pytest.mark.usefixtures("fakes")
def test_two_processes_share_one_folder(child: Child, tmp_path: Path) -> None:
    shared(child, tmp_path, processes=2, rounds=2)


@pytest.mark.slow
@pytest.mark.usefixtures("fakes")
def test_four_processes_share_one_folder_twenty_times(child: Child, tmp_path: Path) -> None:
    shared(child, tmp_path, processes=4, rounds=20)


@dataclass
class Stopped:
    """A run of the fake model that hangs at one case and is stopped there.

    Attributes:
        child, cli, command: how it is started, and run again in this process.
        results, log: folder and log of the clips that were begun.
    """

    child: Child
    cli: Callable[..., Ran]
    command: list[str]
    results: Path
    log: Path

    @contextmanager
    def hanging(self, case: str) -> Iterator[subprocess.Popen[str]]:
        """Start it and wait until it hangs."""
        with self.child(COMMAND, *self.command, f"model.bad={case}", "model.how=slow") as process:
            while not self.log.is_file() or case not in self.log.read_text():
                assert process.poll() is None
                time.sleep(0.02)
            yield process

    def finish(self) -> Path:
        """Run it again, to its end, and return its table."""
        assert self.cli(*self.command, "model.how=well").code == 0
        (table,) = self.results.glob("runs/*/fake_model/*/cases.csv")
        assert pd.read_csv(table)["status"].tolist() == ["ok"] * 3
        return table


@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.long)])
def stopped(
    request: pytest.FixtureRequest,
    child: Child,
    cli: Callable[..., Ran],
    fake_run: list[str],
    tmp_path: Path,
) -> Stopped:
    """With one worker and with two."""
    results, log = tmp_path / "results", tmp_path / "log"
    command = [*fake_run, f"model.log={log}", f"workers={request.param}", f"results={results}"]
    return Stopped(child, cli, command, results, log)


def test_sigterm_keeps_what_is_finished_and_the_same_command_resumes(stopped: Stopped) -> None:
    results = stopped.results
    with stopped.hanging("gamma") as process:
        while sum(path.is_file() for path in results.glob("runs/*/fake_model/*/cases/*/score.json")) < 2:
            time.sleep(0.02)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert time.monotonic() - start < STOP_S
    (table,) = results.glob("runs/*/fake_model/*/cases.csv")
    assert pd.read_csv(table)["status"].tolist() == ["ok", "ok"]
    assert not json.loads((table.parent / "record.json").read_text())["finished"]
    assert stopped.finish() == table
    made = Counter(line.split("/")[0] for line in stopped.log.read_text().splitlines())
    assert made == {"alpha": 1, "beta": 1, "gamma": 2}


def test_kill_leaves_nobody_behind_and_the_same_command_resumes(stopped: Stopped) -> None:
    with stopped.hanging("beta") as process:
        process.kill()
        process.wait(60)
    workers = {int(line.rpartition("/")[2]) for line in stopped.log.read_text().splitlines()}
    deadline = time.monotonic() + 30
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stopped.finish()
    assert not list(stopped.results.glob("runs/*/*/*/.claims"))
    assert not list(stopped.results.glob("runs/**/.tmp-*"))
