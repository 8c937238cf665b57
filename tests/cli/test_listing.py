from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toraeval import registry
from toraeval.registry import Entry

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("models", ("tora", "ground_truth", "Apache-2.0")),
        ("trackers", ("lucas_kanade", "CC BY-NC 4.0")),
        ("metrics", ("traj_error", "lower", "px")),
        ("suites", ("shapes", "36", "folder")),
    ],
)
def test_lists(cli: Cli, what: str, expected: tuple[str, ...]) -> None:
    ran = cli("list", what)
    assert ran.code == 0
    for text in expected:
        assert text in ran.out


def test_missing_parts_are_told_with_the_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    registry.register(
        "metric", "heavy", Entry("tests.fake_parts:FakeTracker", modules=("not_there",), extra="clip")
    )
    out = cli("list", "metrics").out
    assert "needs extra" in out
    assert "pip install -e '.[clip]'" in out
    out = cli("list", "trackers").out
    assert "needs weights" in out
    assert "python -m toraeval fetch cotracker3_offline" in out


def test_part_that_does_not_import_is_not_called_ready(cli: Cli) -> None:
    registry.register("model", "ghost", "tests.fake_parts:Ghost")
    out = cli("list", "models").out
    row = next(line for line in out.splitlines() if line.startswith("| ghost"))
    assert "ready" not in row
    assert "registry line is wrong" in out


def test_unknown_kind(cli: Cli) -> None:
    ran = cli("list", "modles")
    assert ran.code == 2
    assert "Did you mean 'models'?" in ran.err


def test_what_large_models_cost_and_what_nobody_can_run_stand_below_the_table(cli: Cli) -> None:
    out = cli("list", "models").out
    assert "cost of model wan_move size=upstream: 40 GB of GPU memory" in out
    assert "tora3 is not available: a paper" in out
    assert "cost of tracker" not in out
    assert "tora2" not in cli("list", "model=static").out


def test_runs_are_listed_with_their_folder_and_mean(
    cli: Cli, fake: tuple[str, ...], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrower terminal gets fewer columns
    assert "no finished run" in cli("list", "runs").out
    cli("run", "model=fake_model", "model.shift=3", "model.bad=beta", *fake, "results=r")
    for ran in (cli("list", "runs", "results=r"), cli("list", "results=r")):
        assert ran.code == 0
        (line,) = [line for line in ran.out.splitlines() if line.startswith("| fake_model")]
        cells = [cell.strip() for cell in line.split("|")[2:8]]
        assert (tmp_path / "r" / "runs" / cells[1] / "fake_model" / cells[2]).is_dir()
        assert [cells[0], *cells[3:]] == ["8", "traj_error 3", "3", "1"]


def test_a_part_of_a_suite_is_listed_as_partial(cli: Cli, fake: tuple[str, ...]) -> None:
    cli("run", "model=fake_model", *fake, "limit=1")
    assert "partial: fake_model 8: 1 of 3 cases" in cli("list", "runs").out


def test_a_damaged_run_is_left_out_of_the_list_and_named(
    cli: Cli, fake: tuple[str, ...], tmp_path: Any
) -> None:
    cli("run", "model=fake_model", *fake)
    (table,) = tmp_path.glob("results/runs/*/fake_model/*/cases.csv")
    table.write_text("nothing")
    ran = cli("list", "runs")
    assert (ran.code, ran.err.count("left out")) == (0, 1)
    assert "| fake_model" not in ran.out


def test_a_suite_that_reads_a_folder_says_so_and_where_to_read_on(cli: Cli) -> None:
    ran = cli("list", "suites")
    rows = {
        cells[1].strip(): cells[2].strip()
        for line in ran.out.splitlines()
        if len(cells := line.split("|")) > 2
    }
    assert (rows["shapes"], rows["movebench"], rows["folder"]) == ("ready", "needs path", "needs path")
    assert "docs/suites.md" in ran.out
