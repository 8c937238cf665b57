"""Without `traj_error` the first metric is the main one: printed, tabulated, with the tracker's floor, ranked by."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.cli.conftest import PARTS
from toraeval import registry
from toraeval.report.claims import notes
from toraeval.report.collect import collect
from toraeval.report.measures import worst_first
from toraeval.report.tables import columns_of, table
from toraeval.types import Score

SMALL = (*PARTS, "frames=8")


class Reach:
    """A metric that takes over the names of the contract, not its class, and is chosen by the name of its own class."""

    name, version = "reach", "1"

    def score(self, case, tracks, video):
        return Score(self.name, self.version, {"reach": float(tracks.tracks_NT2[0, -1, 0])})


def line_of(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_run_prints_the_metric_that_was_asked_for(cli, tmp_path):
    ran = cli("run", "model=fake_model", "model.shift=3", *SMALL, "metric=[final_error,psnr]", "results=r")
    assert ran.code == 0, ran.err
    heads, cells = line_of(ran.out, "model"), line_of(ran.out, "fake_model")
    assert heads[3:5] == ["final_error", "floor"]
    row = dict(zip(heads, cells, strict=True))
    assert (row["final_error"], row["cases"], row["floor"]) == ("3 (n = 3)", "3", "0")
    assert "traj_error" not in ran.out
    assert any(line.startswith("| psnr ") for line in ran.out.splitlines())  # beside it, not twice
    assert not any(line.startswith("| final_error ") for line in ran.out.splitlines())


def test_traj_error_stays_the_main_one_wherever_it_stands(cli):
    ran = cli("run", "model=fake_model", *SMALL, "metric=[final_error,traj_error]", "results=r")
    row = dict(zip(line_of(ran.out, "model"), line_of(ran.out, "fake_model"), strict=True))
    assert row["traj_error"] == "2 (n = 3)"


def test_bench_tabulates_and_ranks_by_it(cli, tmp_path):
    ran = cli("bench", "models=[fake_model,static]", *PARTS, "frames=[8]", "metric=[psnr]", "results=r")
    assert ran.code == 0, ran.err
    rows = pd.read_csv(tmp_path / "r" / "table1.csv").set_index("model")
    assert rows.loc["fake_model", "psnr"] > 0
    assert not [name for name in rows if "traj_error" in name]
    assert rows["tracker_floor"].tolist() == pytest.approx([100.0] * len(rows))
    # a perfect video is best here, so its value is not a limit below which differences say nothing
    assert rows["below_floor"].isna().all()
    assert len(pd.read_csv(tmp_path / "r" / "error_over_time.csv")) == 0
    text = (tmp_path / "r" / "table1.md").read_text()
    assert text.startswith("psnr in dB at 64x64")
    assert "higher is better" in text
    assert "psnr in dB at 64x64" in (tmp_path / "r" / "report" / "index.html").read_text()
    (group,) = collect(record.parent for record in (tmp_path / "r" / "runs").glob("*/*/*/record.json"))
    assert list(columns_of(group)) == list(rows.reset_index().columns)
    ranked = worst_first(group.at(8), "higher", "psnr")
    assert list(ranked.values()) == sorted(ranked.values())
    assert not [line for line in notes(group, table(group)) if "unscored" in line]


def test_a_metric_of_the_whole_set_is_one_value_without_a_floor(cli, tmp_path):
    registry.register("metric", "spread", "tests.run.test_set_scores:Spread")
    ran = cli("run", "model=fake_model", *SMALL, "metric=spread", "results=r")
    assert ran.code == 0, ran.err
    row = dict(zip(line_of(ran.out, "model"), line_of(ran.out, "fake_model"), strict=True))
    assert float(row["spread"].removesuffix(" (n = 3)")) >= 0
    assert row["cases"] == "3"
    assert not list((tmp_path / "r" / "runs").glob("*/ground_truth"))


def test_show_lists_the_samples_with_it(cli, tmp_path):
    cli("run", "model=fake_model", *SMALL, "metric=final_error", "results=r", "floor=false")
    (folder,) = (tmp_path / "r" / "runs").glob("*/fake_model/*")
    shown = cli("show", str(folder)).out
    assert line_of(shown, "sample")[:3] == ["sample", "status", "final_error"]


def test_a_metric_of_ones_own_is_shown_by_the_name_that_it_states(cli):
    ran = cli("run", "model=fake_model", *SMALL, "metric=tests.cli.test_other_main_metric:Reach", "results=r")
    assert ran.code == 0, ran.err
    row = dict(zip(line_of(ran.out, "model"), line_of(ran.out, "fake_model"), strict=True))
    assert (row["reach"], row["floor"]) == ("52 (n = 3)", "50")
