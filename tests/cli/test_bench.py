from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.fake_parts import FakeModel
from toraeval.report import assemble

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]
BENCH = (
    "bench", "models=[static,fake_model,ground_truth]", "frames=[8,6]", "suite=fake_suite", "tracker=fake_tracker",
    "height=64", "width=64", "metric=[traj_error]",
)  # fmt: skip
SMALL = ("bench", "models=[static,fake_model]", "frames=[8]", *BENCH[3:])
"""For what does not need several lengths: tables, figures and page are most of the time of a bench."""


def test_bench_writes_tables_figures_and_record(cli: Cli, tmp_path: Path) -> None:
    ran = cli(*BENCH, "model_options.fake_model.shift=3")
    assert ran.code == 0, ran.err
    rows = pd.read_csv(tmp_path / "results" / "table1.csv")
    ours = rows[rows["model"] == "fake_model"].set_index("frames")
    assert ours["traj_error"].to_dict() == {6: 3.0, 8: 3.0}
    assert ours["cases"].to_dict() == {6: 3, 8: 3}
    assert set(rows["model"]) == {"ground_truth", "static", "fake_model"}
    results = tmp_path / "results"
    for name in ("table1.md", "error_over_time.csv", "error_over_time.png", "record.json"):
        assert (results / name).is_file()
    assert list((results / "samples").glob("*.webp"))
    record = json.loads((results / "record.json").read_text())
    assert len(record["runs"]) == 6
    assert record["command"].startswith("python -m toraeval bench")
    assert "disk use: " in ran.out
    assert "18 cases: 18 computed, 0 cached" in ran.out

    FakeModel.calls.clear()
    before = {path.name: path.read_bytes() for path in results.glob("*.csv")}
    again = cli(*BENCH, "model_options.fake_model.shift=3")
    assert "nothing to do: 18 of 18 cases cached" in again.out
    assert FakeModel.calls == []
    assert {path.name: path.read_bytes() for path in results.glob("*.csv")} == before

    for path in before:
        (results / path).unlink()
    assert cli("report").code == 0
    assert {path.name: path.read_bytes() for path in results.glob("*.csv")} == before
    assert FakeModel.calls == []


@pytest.mark.long
def test_a_finished_bench_is_drawn_again_only_where_something_of_it_has_changed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(*SMALL, "limit=1").code == 0
    results = tmp_path / "results"
    times: list[list[Path]] = []

    def counted(*given: Any, **options: Any) -> list[Path]:
        times.append(build(*given, **options))
        return times[-1]

    build = assemble.build
    monkeypatch.setattr(assemble, "build", counted)
    first = cli(*SMALL, "limit=1")
    assert (first.code, times) == (0, [])
    assert "report/index.html" in first.out
    assert "table1.md" in first.out

    def redrawn() -> bool:
        before = len(times)
        assert cli(*SMALL, "limit=1").code == 0
        return len(times) > before

    figure = results / "error_over_time.png"
    content = figure.read_bytes()
    figure.unlink()
    assert redrawn()
    assert figure.read_bytes() == content
    (results / "report" / "index.html").write_text("another page")
    assert redrawn()
    assert "another page" not in (results / "report" / "index.html").read_text()
    tracks = next(results.glob("runs/*/static/*/cases/*/tracks.npz"))
    tracks.write_bytes(tracks.read_bytes())  # whatever else writes it
    assert redrawn()
    assert not redrawn()
    assert cli(*SMALL, "limit=2").code == 0  # more samples
    assert len(times) == 4


def test_bench_reports_only_what_it_was_asked_for(cli: Cli, tmp_path: Path) -> None:
    cli("run", "model=fake_model", "frames=8", *BENCH[3:])
    cli(*SMALL, "limit=2")
    rows = pd.read_csv(tmp_path / "results" / "table1.csv")
    assert set(rows["cases"]) == {2}


def test_one_failing_model_does_not_stop_the_others(cli: Cli, tmp_path: Path) -> None:
    ran = cli(*SMALL, "model_options.fake_model.bad=beta")
    assert ran.code == 1
    rows = pd.read_csv(tmp_path / "results" / "table1.csv")
    assert rows.set_index(["model", "frames"])["failures"].to_dict()["fake_model", 8] == 1
    assert rows[rows["model"] == "static"]["failures"].tolist() == [0]


def test_dry_run(cli: Cli, tmp_path: Path) -> None:
    ran = cli(*BENCH, "dry_run=true")
    assert ran.code == 0
    assert "static 6f: 3 samples, 0 cached, 3 to do" in ran.out
    assert FakeModel.calls == []


def test_report_without_a_bench_says_what_to_run(cli: Cli) -> None:
    ran = cli("report")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "python -m toraeval bench" in ran.err


@pytest.mark.parametrize("extra", [(), ("--record",)])
def test_show(cli: Cli, fake: tuple[str, ...], tmp_path: Path, extra: tuple[str, ...]) -> None:
    cli("run", "model=fake_model", *fake)
    run_dir = next(tmp_path.glob("results/runs/*/fake_model/*"))
    ran = cli("show", str(run_dir), *extra)
    assert ran.code == 0
    if extra:
        assert json.loads(ran.out)["run"]["model"] == "fake_model"
    else:
        assert "| beta" in ran.out


def test_show_of_nothing(cli: Cli, tmp_path: Path) -> None:
    ran = cli("show", str(tmp_path))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert cli("show").code == 2


def test_bench_runs_variants_of_a_model(cli: Cli, tmp_path: Path) -> None:
    models = "models=[fake_model,{name:fake_model,shift:5}]"
    ran = cli(BENCH[0], models, "frames=[8]", *BENCH[3:], "limit=1", "model_options.fake_model.shift=3")
    assert ran.code == 0, ran.err
    rows = pd.read_csv(tmp_path / "results" / "table1.csv")
    assert rows["model"].str.startswith("fake_model [").all(), "equal names get the key of their run"
    assert rows["model"].nunique() == 2
    assert sorted(rows["traj_error"]) == [3.0, 5.0]


def test_a_model_can_be_kept_to_some_lengths(cli: Cli, tmp_path: Path) -> None:
    models = "models=[static,{name:fake_model,frames:[8]}]"
    ran = cli(BENCH[0], models, "frames=[8,6]", *BENCH[3:], "limit=1")
    assert ran.code == 0, ran.err
    assert "not run: fake_model at 6 frames, as its entry in models asks" in ran.out
    rows = pd.read_csv(tmp_path / "results" / "table1.csv")
    assert sorted(zip(rows["model"], rows["frames"], strict=True)) == [
        ("fake_model", 8), ("static", 6), ("static", 8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{name:fake_model,frames:16}", "frames=16; allowed: a list of lengths"),
        ("{name:fake_model,frames:[16]}", "no entry in models is run at frames=[8]"),
        ("fake_model,{name:fake_model,frames:[8]}", "names fake_model twice"),
    ],
)
def test_lengths_of_an_entry_that_cannot_be(cli: Cli, entry: str, said: str) -> None:
    ran = cli(BENCH[0], f"models=[{entry}]", "frames=[8]", *BENCH[3:])
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert said in ran.err


@pytest.mark.parametrize("entry", ["[[static]]", "[{shift:5}]"])
def test_bench_refuses_an_entry_without_a_name(cli: Cli, entry: str) -> None:
    ran = cli(BENCH[0], f"models={entry}", "frames=[8]", *BENCH[3:])
    assert ran.code == 2
    assert "allowed: a name, or a name with options like" in ran.err


@pytest.mark.long
def test_a_bench_over_sizes_reports_each_and_all(cli: Cli, tmp_path: Path) -> None:
    ran = cli(*BENCH[:1], "models=[cut_and_drag]", "frames=[8]", "suite=shapes", "tracker=lucas_kanade", "limit=1",
              "sizes=[[64,64],[64,96]]", "metric=traj_error")  # fmt: skip
    assert ran.code == 0, ran.err
    results = tmp_path / "results"
    assert {path.parent.name for path in results.glob("*/table1.csv")} == {
        "shapes-v2-lucas_kanade-64x64", "shapes-v2-lucas_kanade-96x64",
    }  # fmt: skip
    figures = cli("figures")
    assert figures.code == 0, figures.err
    wrong = cli(*BENCH, "sizes=[64]")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "allowed: [height, width] in pixels" in wrong.err


def test_figures_without_a_bench_say_what_to_run(cli: Cli, tmp_path: Path) -> None:
    assert "python -m toraeval bench" in cli("figures").err
    (tmp_path / "results").mkdir()
    ran = cli("figures")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
