"""Tables fit the terminal, lead with what matters, and reach every value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import PARTS
from toraeval.cli import output
from toraeval.cli.terminal import fitted, wrapped

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]
ROW = {
    "model": "tora", "frames": 16, "cases": 9, "failures": 0, "traj_error": 13.7, "traj_error_low": 6.8,
    "traj_error_high": 26.7, "tracker_floor": 0.1, "ratio_to_static": 0.2, "seconds_per_clip": 1.0,
    "fvd": 7.2, "fvd_low": np.nan, "fvd_high": np.nan, "lpips": np.nan, "lpips_low": np.nan, "lpips_high": np.nan,
}  # fmt: skip


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    output.print_table(pd.DataFrame([ROW, {**ROW, "model": "m" * 300}]))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= columns
    assert "| tora" in printed


def test_headline_columns_come_first_and_empty_ones_not_at_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    output.print_table(pd.DataFrame([ROW]))
    head, _, row = capsys.readouterr().out.splitlines()[:3]
    names = [name.strip() for name in head.strip("|").split("|")]
    assert names == ["model", "frames", "cases", "traj_error", "/ static", "floor", "fvd", "failed", "s/clip"]
    assert "13.7 [6.8, 26.7]" in row
    assert "nan" not in row


def test_failures_move_to_the_front(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    output.print_table(pd.DataFrame([{**ROW, "failures": 2}]))
    assert "failed" in capsys.readouterr().out.splitlines()[0]


def test_what_has_no_room_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    output.print_table(pd.DataFrame([ROW]), "columns=all shows them")
    assert "no room for: / static, floor, failed, s/clip; columns=all" in " ".join(
        capsys.readouterr().out.split()
    )


def test_hostile_text_stays_one_harmless_cell() -> None:
    table, _ = fitted(["model", "x"], [["a\x1b[2J\nb|\u202eevil" + "z" * 10_000, "1"]], columns=60)
    assert "\x1b" not in table
    assert "\u202e" not in table
    assert len(table.splitlines()) == 3
    assert max(map(len, table.splitlines())) <= 60


def test_sentences_are_broken_into_lines() -> None:
    table = wrapped(["name", "what"], [["a", "one two three four five six seven eight"]], columns=40)
    assert max(map(len, table.splitlines())) <= 40
    assert "eight" in table


def test_show_reaches_every_value_and_has_no_nan(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    cli("run", "model=fake_model", *fake)
    cli("run", "model=static", *fake)
    run_dir = next(tmp_path.glob("results/runs/*/fake_model/*"))
    plain = cli("show", str(run_dir))
    assert "nan" not in plain.out
    head = next(line for line in plain.out.splitlines() if line.startswith("| sample"))
    assert "| error" not in head, "no case has an error"
    every = cli("show", str(run_dir), "columns=all").out
    for column in ("traj_error_l2", "tracked_visible", "n_objects"):
        assert column in every
    one = cli("show", "results", "columns=traj_error_l2").out
    assert one.count("traj_error_l2") == 3, "two models and the ground truth"
    joint = cli("show", "results").out
    assert "| fake_model" in joint
    assert "| static" in joint
    wrong = cli("show", str(run_dir), "columns=traj_eror")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "traj_error" in wrong.err


def test_a_sweep_ends_in_one_table_with_all_metrics(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ran = cli("run", "-m", "model=fake_model,static", "metric=[traj_error,final_error]", *PARTS, "frames=8")
    table = ran.out.split("sweep of 2 jobs, 2 done:")[1]
    assert "final_error" in table.splitlines()[1]
    assert len([line for line in table.splitlines() if line.startswith(("| fake_model", "| static"))]) == 2
