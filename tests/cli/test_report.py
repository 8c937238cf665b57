"""`report`: what it finds, where it writes, and what it says where there is nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import FAKE

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]
BENCH = ("bench", "models=[static,fake_model]", "frames=[8]", "limit=1")
PARTS = FAKE[:-1]


def pages(out: str) -> list[Path]:
    return [Path(path) for path in re.findall(r"^report: (.*)$", out, re.MULTILINE)]


@pytest.mark.long
def test_single_runs_and_sweeps_are_found_without_a_bench(cli: Cli) -> None:
    cli("run", "-m", "model=fake_model,static", "frames=8,6", *PARTS)
    ran = cli("report")
    assert ran.code == 0, ran.err
    assert pages(ran.out) == [Path("results/report/index.html")]
    text = Path("results/report/index.html").read_text(encoding="utf-8")
    for row in ("fake_model", "static", "ground_truth"):
        assert text.count(f'data-model="{row}" data-frames="8"') == 1
        assert text.count(f'data-model="{row}" data-frames="6"') == 1
    assert not Path("results/table1.csv").exists(), "only a bench writes tables beside its runs"


@pytest.mark.long
def test_the_first_page_covers_the_last_bench_and_all_other_runs(cli: Cli) -> None:
    ran = cli(*BENCH, *PARTS)
    assert pages(ran.out) == [Path("results/report/index.html")]
    cli("run", "model=fake_model", "frames=6", *PARTS)
    table = Path("results/table1.csv").read_bytes()
    ran = cli("report")
    (first,) = pages(ran.out)
    assert first == Path("results/report/index.html")
    links = re.findall(r'<th scope="row"[^>]*><a href="([^"]+)">', first.read_text(encoding="utf-8"))
    lengths = [
        set(re.findall(r'data-frames="(\d+)"', (first.parent / link).read_text(encoding="utf-8")))
        for link in links
    ]
    assert lengths == [{"8"}, {"6"}], "the bench comes first"
    assert Path("results/table1.csv").read_bytes() == table
    cli(*BENCH, *PARTS)
    assert 'data-frames="8"' in first.read_text(encoding="utf-8")
    assert not any((first.parent / link).exists() for link in links)


def test_chosen_runs_go_into_the_folder_that_is_named(cli: Cli) -> None:
    cli("run", "model=fake_model", "frames=8", *PARTS)
    (run_dir,) = Path("results/runs").glob("*/fake_model/*")
    ran = cli("report", str(run_dir), "out=mine")
    assert ran.code == 0, ran.err
    assert pages(ran.out) == [Path("mine/index.html")]
    assert Path("mine/table1.csv").is_file()


def test_a_page_that_cannot_be_written_costs_nothing_else(cli: Cli) -> None:
    Path("results").mkdir()
    Path("results/reports").write_text("in the way")
    ran = cli("run", "model=fake_model", "frames=8", *PARTS)
    assert ran.code == 0
    assert "the report was not written" in ran.err
    assert pages(ran.out) == []


def test_tables_of_a_bench_without_its_runs_hide_no_other_run(cli: Cli) -> None:
    cli(*BENCH, *PARTS)
    table = Path("results/table1.csv").read_bytes()
    shutil.rmtree("results/runs")
    shutil.rmtree("results/report")
    ran = cli("report")
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert "python -m toraeval bench results=results" in ran.err
    cli("run", "model=fake_model", "frames=6", *PARTS)
    ran = cli("report")
    assert ran.code == 0, ran.err
    assert "the runs of its last bench are not here" in ran.err
    assert 'data-frames="6"' in Path("results/report/index.html").read_text(encoding="utf-8")
    assert Path("results/table1.csv").read_bytes() == table


def test_a_folder_that_cannot_be_written_is_named_in_one_line(cli: Cli) -> None:
    cli("run", "model=fake_model", "frames=8", *PARTS)
    (run_dir,) = Path("results/runs").glob("*/fake_model/*")
    Path("taken").write_text("in the way")
    for words in ((), (str(run_dir),)):
        ran = cli("report", *words, "out=taken")
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert "taken cannot be written" in ran.err
        assert "out=DIR" in ran.err


def test_every_sample_failed(cli: Cli) -> None:
    ran = cli("run", "model=fake_model", "model.bad='alpha,beta,gamma'", "frames=8", *PARTS)
    (page,) = pages(ran.out)
    assert "failed samples" in page.read_text(encoding="utf-8")
