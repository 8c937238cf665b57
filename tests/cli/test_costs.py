"""What a run will cost is said before, from former ones; what is a part of the whole is marked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from toraeval.store.sealed import read_json

pytestmark = pytest.mark.timeout(300)

Cli = Callable[..., Any]
SMALL = ("suite=fake_suite", "tracker=fake_tracker", "height=64", "width=64", "metric=[traj_error]")


def test_a_dry_run_knows_time_and_memory_from_runs_of_other_lengths(cli: Cli, tmp_path: Path) -> None:
    first = cli("run", "model=fake_model", *SMALL, "frames=6", "dry_run=true")
    assert "in all: 6 samples to do; up to " in first.out
    assert "memory unknown until such a run is done; time unknown until the first run is done" in first.out
    assert cli("run", "model=fake_model", *SMALL, "frames=8", "limit=2").code == 0
    for table in tmp_path.glob("results/runs/*/*/*/timings.csv"):
        seconds = pd.read_csv(table).assign(generate_s=16.0, track_s=6.0, score_s=2.0)
        seconds.to_csv(table, index=False)
    later = cli("run", "model=fake_model", *SMALL, "frames=6", "dry_run=true")
    assert "fake_model 6f: 3 samples, 0 cached, 3 to do, ground truth 3 to do; up to " in later.out
    assert "; about 54 s\n" in later.out, "24 s of 8 frames are 18 s of 6"
    assert re.search(r"1 process on this machine, up to [\d.]+ [MG]B of memory each; about 108 s", later.out)
    part = cli("run", "model=fake_model", *SMALL, "frames=6", "dry_run=true", "stages=[track]", "limit=1")
    assert "(1 of the 3 cases)" in part.out
    assert "in all: 1 sample to do" in part.out
    assert part.out.count("about 4 s") == 2, "tracking alone"
    assert (
        cli("run", "model=fake_model", *SMALL, "frames=8", "limit=2", "dry_run=true").out.count("no time")
        == 1
    )


def test_clips_of_another_size_count_by_their_pixels(cli: Cli, tmp_path: Path) -> None:
    words = (
        "run",
        "model=static",
        "frames=6",
        "limit=1",
        "tracker=fake_tracker",
        "metric=[traj_error]",
        "floor=false",
    )
    assert cli(*words, "height=64", "width=64").code == 0
    (table,) = tmp_path.glob("results/runs/*/static/*/timings.csv")
    seconds = pd.read_csv(table).assign(generate_s=16.0, track_s=6.0, score_s=2.0)
    seconds.to_csv(table, index=False)
    larger = cli(*words, "height=128", "width=96", "dry_run=true").out
    assert larger.count("; about 72 s, in proportion to the pixels of clips of another size\n") == 2
    longer = cli(*words[:2], "frames=12", *words[3:], "height=64", "width=64", "dry_run=true").out
    assert longer.count("; about 48 s\n") == 2


def test_what_stopped_early_or_covers_a_part_is_marked(cli: Cli, tmp_path: Path) -> None:
    words = ("bench", "models=[ground_truth,fake_model]", "frames=[8]", *SMALL, "workers=1", "fail_fast=true")
    ran = cli(*words, "model_options.fake_model.bad=alpha")
    assert ran.code == 1
    (folder,) = tmp_path.glob("results/runs/*/fake_model/*")
    record = read_json(folder / "record.json") or {}
    assert (record["finished"], record["partial"], record["suite_size"]) == (False, True, 3)
    assert "partial: fake_model 8: 1 of 3 cases, stopped before its end\n" in ran.out
    assert (
        pd.read_csv(tmp_path / "results" / "table1.csv").set_index("model")["partial"]["fake_model"] == "yes"
    )
    shown = cli("show", str(folder))
    assert "partial: fake_model 8: 1 of 3 cases, stopped before its end\n" in shown.out
    assert "partial" not in cli(*words).out


def test_a_limit_above_the_suite_is_said(cli: Cli) -> None:
    more = cli("run", "model=fake_model", *SMALL, "frames=6", "dry_run=true", "limit=4")
    assert "note: limit=4: the suite has 3 cases, all of which are taken" in more.out + more.err
    exact = cli("run", "model=fake_model", *SMALL, "frames=6", "dry_run=true", "limit=3")
    assert "all of which are taken" not in exact.out + exact.err
