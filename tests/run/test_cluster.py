"""The same queue through submitit and Ray: equal tables, nothing done twice, jobs that die."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import engines
from tests.fake_parts import COMMAND, config
from toraeval.config.verbs import ClusterConfig
from toraeval.run import cluster, pipeline
from toraeval.run.ending import Report
from toraeval.run.plan import plan_run
from toraeval.types import MissingAsset, UserError

pytestmark = [pytest.mark.usefixtures("fakes"), pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes find the fake parts."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))


def run(results: Path, **options: Any) -> Report:
    given = {**vars(ClusterConfig()), "scheduler": "local", **options.pop("cluster", {})}
    model = {"name": "fake_model", "log": str(results / "log"), **options.pop("model", {})}
    plan = plan_run(config(results, model=model, executor="slurm", cluster=given, **options))
    return pipeline.run(plan, command="test")


def begun(results: Path) -> Counter[str]:
    return Counter(line.split("/")[0] for line in (results / "log").read_text().splitlines())


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_jobs_give_the_tables_of_one_process(
    engine: str, fake_run: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit" if engine == "slurm" else "ray")
    command = [sys.executable, "-c", COMMAND, *fake_run, "seeds=[0,1]"]
    assert engines.compare(command, ["one", engine], tmp_path), capfd.readouterr()
    assert "6 tables equal" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("importable")
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of submitit, whose process was killed
def test_a_job_that_dies_is_followed_by_another_one(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    report = run(tmp_path, model={"bad": "beta", "how": "killed once"}, floor=False)
    assert report.result.cases["status"].tolist() == ["ok"] * 3
    assert begun(tmp_path) == {"alpha": 1, "beta": 2, "gamma": 1}


@pytest.mark.slow
@pytest.mark.usefixtures("importable")
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of submitit, whose process was killed
def test_what_kills_every_job_is_recorded_as_failed(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    report = run(tmp_path, model={"bad": "beta", "how": "killed"}, floor=False, cluster={"jobs": 1})
    rows = report.result.cases.set_index("sample")
    assert rows["status"].to_dict() == {"alpha": "ok", "beta": "failed", "gamma": "ok"}
    assert rows.loc["beta", "error"].startswith("2 jobs died over it; what they printed is in ")
    assert begun(tmp_path) == {"alpha": 1, "beta": 2, "gamma": 1}
    assert list((tmp_path / "runs" / ".cluster").glob("*_log.err"))
    assert not list(tmp_path.glob("runs/*/*/*/.claims/*"))


@pytest.mark.usefixtures("importable")
def test_what_no_job_would_survive_ends_the_command(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(MissingAsset, match="weights are missing"):
        run(tmp_path, model={"bad": "alpha", "how": "weights"}, floor=False)


def test_an_executor_lacks_its_package_or_gets_wrong_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"cluster.jobs=0: allowed are whole numbers from 1"):
        run(tmp_path, cluster={"jobs": 0})
    with pytest.raises(UserError, match=r"unknown executor 'slurmm'. Did you mean 'slurm'"):
        plan_run(config(tmp_path, executor="slurmm"))
    monkeypatch.setitem(sys.modules, "submitit", None)
    cluster.optional.probe.cache_clear()
    with pytest.raises(
        MissingAsset, match=r"executor=slurm needs the package submitit.*pip install -e '.\[slurm\]'"
    ):
        run(tmp_path)
    cluster.optional.probe.cache_clear()
