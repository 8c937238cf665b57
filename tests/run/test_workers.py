"""Worker processes: one that dies is replaced, and its sample tried once more."""

from __future__ import annotations

import os
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests.fake_parts import config
from toraeval import machine
from toraeval.run import costs, pipeline, workers
from toraeval.run.ending import Report
from toraeval.run.plan import plan_run
from toraeval.types import MissingAsset

pytestmark = [pytest.mark.usefixtures("fakes"), pytest.mark.timeout(300)]


def run(results: Path, bad: str, how: str, number: int = 2, **changes: Any) -> tuple[Report, list[list[str]]]:
    """Run with some workers; returns the report and [case, seed, frames, process] of every clip that was begun."""
    model = {"name": "fake_model", "bad": bad, "how": how, "log": str(results / "log")}
    report = pipeline.run(plan_run(config(results, model=model, workers=number, **changes)), command="test")
    return report, [line.split("/") for line in (results / "log").read_text().splitlines()]


@pytest.mark.long
@pytest.mark.parametrize(("how", "number"), [("killed once", 2), ("gpu", 2), ("gpu", 1)])
def test_a_process_that_dies_is_replaced_and_its_sample_done(tmp_path: Path, how: str, number: int) -> None:
    report, begun = run(tmp_path, "beta", how, number)
    assert report.exit_code == 0
    assert report.result.cases["status"].tolist() == ["ok"] * 3
    assert max(outcome.peak_mb for outcome in report.outcomes) > 0
    assert report.result.record["peak_memory_mb"] >= max(outcome.peak_mb for outcome in report.outcomes)
    assert Counter(line[0] for line in begun) == {"alpha": 1, "beta": 2, "gamma": 1}
    assert len({line[3] for line in begun if line[0] == "beta"}) == 2, "the retry is another process's"


def test_a_sample_that_kills_twice_is_recorded_as_failed(tmp_path: Path) -> None:
    report, begun = run(tmp_path, "beta", "killed")
    assert report.exit_code == 1
    rows = report.result.cases.set_index("sample")
    assert rows["status"].to_dict() == {"alpha": "ok", "beta": "failed", "gamma": "ok"}
    assert rows.loc["beta", "error"] == "the process that worked on it died 2 times (SIGKILL, out of memory?)"
    assert Counter(line[0] for line in begun)["beta"] == 2
    assert not list(tmp_path.glob("runs/*/*/*/.claims/*"))


def test_what_no_other_sample_would_survive_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="weights are missing"):
        run(tmp_path, "alpha", "weights", floor=False)


def test_each_worker_keeps_to_a_model(tmp_path: Path) -> None:
    log = {"log": str(tmp_path / "log")}
    plans = [
        plan_run(config(tmp_path, model={"name": "fake_model", "shift": shift, **log}, frames=n, workers=2))
        for n in (8, 6)
        for shift in (1, 2)
    ]
    reports = pipeline.run_all(plans, command="test")
    assert [report.result.cases["traj_error"].tolist() for report in reports] == [[1.0] * 3, [2.0] * 3] * 2
    lengths: dict[str, list[int]] = {}
    for line in (tmp_path / "log").read_text().splitlines():
        _, _, frames, process = line.split("/")
        lengths.setdefault(process, []).append(int(frames))
    assert len(lengths) <= 2, "one pool for all plans"


def test_auto_is_as_many_as_cores_memory_and_work_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "cpu_count", lambda: 8)
    monkeypatch.setattr(costs, "free_memory", lambda: 1 << 40)
    plan = plan_run(config(tmp_path, workers="auto", seeds=list(range(10))))
    samples = plan.samples
    assert costs.count([plan], samples) == 1, "a process costs more than so little work"
    monkeypatch.setattr(costs, "WORTH_A_PROCESS", 1)
    assert costs.count([plan], samples) == 8
    assert costs.count([plan], samples[:3]) == 3
    monkeypatch.setattr(costs, "free_memory", lambda: 3 * costs.MEMORY_OF_ONE)
    assert costs.count([plan], samples) == 3
    assert machine.free_memory() > 0


class Started(Exception):
    """Stands for a process that is about to start."""


def test_libraries_that_are_loaded_before_a_process_begins_keep_to_its_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str | None] = []

    def start(process: BaseProcess) -> None:
        given.append(os.environ.get("OPENBLAS_NUM_THREADS"))
        raise Started

    monkeypatch.setattr(BaseProcess, "start", start)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setattr(workers, "cpu_count", lambda: 6)
    with pytest.raises(Started):
        run(tmp_path, "", "", number=2)
    assert given == ["3"]
    assert "OPENBLAS_NUM_THREADS" not in os.environ
