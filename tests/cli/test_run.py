from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.conftest import PARTS
from tests.fake_parts import FakeModel

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]


def test_run_prints_table_paths_and_command(cli: Cli, tmp_path: Path) -> None:
    words = ("run", "model=fake_model", *PARTS, "frames=8")  # with the metrics of a run as it is
    ran = cli(*words)
    assert ran.code == 0
    assert "| fake_model | 8        | 3       | 2 (n = 3)    |" in ran.out
    assert "3 cases: 3 computed, 0 cached\nbusy: generate " in ran.out
    assert "cases.csv" in ran.out
    page = re.search(r"^report: (.*)$", ran.out, re.MULTILINE)
    assert page
    assert "ground_truth" in Path(page[1]).read_text(encoding="utf-8"), "the floor stands beside the model"
    assert ran.out.rstrip().endswith(f"command: python -m toraeval {' '.join(words)}")
    assert "frames after" in ran.err, "progress goes to stderr"
    assert {path.name for path in tmp_path.iterdir()} == {"results"}, "nothing outside results/"
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"runs", "reports"}


def test_second_run_computes_nothing_and_says_so(cli: Cli, fake: tuple[str, ...]) -> None:
    cli("run", "model=fake_model", *fake)
    FakeModel.calls.clear()
    ran = cli("run", "model=fake_model", *fake)
    assert "nothing to do: 3 of 3 cases cached" in ran.out
    assert FakeModel.calls == []


def test_failures_are_counted_and_give_exit_code_1(cli: Cli, fake: tuple[str, ...]) -> None:
    ran = cli("run", "model=fake_model", "model.bad=beta", *fake)
    assert ran.code == 1
    assert "failed: beta: ValueError: matrix is singular" in ran.err
    assert "1 failed" in ran.out
    assert "Traceback" not in ran.err + ran.out


@pytest.mark.parametrize(("how", "code"), [("weights", 3), ("full", 2)])
def test_errors_inside_a_run_are_one_line(cli: Cli, fake: tuple[str, ...], how: str, code: int) -> None:
    ran = cli("run", "model=fake_model", "model.bad=alpha", f"model.how={how}", *fake)
    assert ran.code == code
    assert "Traceback" not in ran.err + ran.out
    assert len([line for line in ran.err.splitlines() if line.startswith("error: ")]) == 1


def test_interrupt_says_how_to_go_on(cli: Cli, fake: tuple[str, ...]) -> None:
    ran = cli("run", "model=fake_model", "model.bad=beta", "model.how=interrupt", *fake)
    assert ran.code == 130
    assert "run the same command again" in ran.err
    assert "Traceback" not in ran.err
    cli("run", "model=fake_model", *fake)
    assert FakeModel.calls == ["alpha/0", "beta/0", "beta/0", "gamma/0"]


@pytest.mark.long
def test_multirun_runs_every_combination(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    sizes = [text for text in fake if not text.startswith("frames")]
    ran = cli("run", "-m", "model=fake_model,static", "frames=6,8", *sizes)
    assert ran.code == 0
    found = {path.parent.parent.name for path in tmp_path.glob("results/runs/*/*/*/cases.csv")}
    assert found == {"fake_model", "static", "ground_truth"}
    assert len(list(tmp_path.glob("results/runs/fake_suite-v1/fake_model/*/cases.csv"))) == 2


def test_multirun_goes_on_after_a_job_that_fails(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    ran = cli("run", "-m", "model=fake_model", "model.how=weights", "model.bad=alpha,nobody", *fake)
    assert ran.code == 3
    assert (
        pd.read_csv(next(tmp_path.glob("results/runs/*/fake_model/*/cases.csv")))["status"].tolist()
        == ["ok"] * 3
    )


def test_dry_run_computes_nothing(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    ran = cli("run", "model=fake_model", *fake, "dry_run=true")
    assert ran.code == 0
    assert "fake_model 8f: 3 samples, 0 cached, 3 to do, ground truth 3 to do" in ran.out
    assert "shift: 2" in ran.out
    assert FakeModel.calls == []
    assert not list(tmp_path.glob("results/runs/fake*"))


def test_dry_run_lists_what_is_missing(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    ran = cli("run", "model=static", "tracker=cotracker3_offline", "limit=1", "dry_run=true")
    assert ran.code == 3
    assert "missing: weights cotracker3_offline, 0.1 GB for tracker cotracker3_offline" in ran.out
    assert "run: python -m toraeval fetch cotracker3_offline" in ran.out


def test_unwritable_results_folder(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = cli("run", "model=fake_model", *fake, "results=file/below")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "file/below cannot be written" in ran.err


@pytest.mark.long
def test_several_workers_give_the_same_rows(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    cli("run", "model=fake_model", *fake, "results=one")
    ran = cli("run", "model=fake_model", *fake, "results=two", "workers=2")
    assert ran.code == 0, ran.err
    assert FakeModel.calls == ["alpha/0", "beta/0", "gamma/0"], "the second run works in other processes"
    one, two = (sorted((tmp_path / name).glob("runs/*/*/*/cases.csv")) for name in ("one", "two"))
    assert len(one) == 2
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes()
