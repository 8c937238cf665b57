"""Metrics beside TrajError: groups, set scores, skips."""

import numpy as np
import pytest

from toraeval.report import measures
from toraeval.report.assemble import build
from toraeval.report.collect import collect
from toraeval.store.sealed import read_json, write_json

FVD = {
    "looks_at": "video",
    "of_whole_set": True,
    "direction": "lower",
    "columns": {"fvd_shapes": "a distance"},
}


@pytest.fixture
def scored(make_run, tmp_path):
    """Two runs with a frame metric (skipped once), a set metric, and a metric of tracks that nobody listed."""
    runs = [make_run(tmp_path, model, 6, video=False) for model in ("tora", "ground_truth")]
    for shift, run in enumerate(runs):
        table = (run / "cases.csv").read_text().splitlines()
        table = [table[0] + ",flicker,smoothness"] + [
            f"{line},{'' if i == 1 and not shift else i + shift},{10 * i}" for i, line in enumerate(table[1:])
        ]
        (run / "cases.csv").write_text("\n".join(table) + "\n")
        stored = read_json(run / "definitions.json")
        stored["flicker"] = {"looks_at": "video", "direction": "lower", "unit": "levels"}
        stored["smoothness"] = {"looks_at": "tracks", "direction": "higher"}
        stored["fvd"] = FVD
        write_json(run / "definitions.json", stored)
        values = {"fvd_shapes": 8.5, "fvd_shapes_low": 7.0, "fvd_shapes_high": 9.5, "fvd_videos": 3.0}
        samples = ["curve-001", "line-000", "wave-002"]
        entry = {"version": "1", "key": "k", "samples": samples, "values": values, "skipped": None}
        write_json(run / "set_scores.json", {"fvd": entry})
    (runs[0] / "skips.csv").write_text(
        "sample,case,seed,metric,reason\ncurve-001,curve-001,0,flicker,no still part\n"
    )
    return runs


def rows_of(runs, **options):
    (group,) = collect(runs, **options)
    return group, measures.table(group)


def test_metrics_stand_in_their_groups(scored):
    group, rows = rows_of(scored)
    places = {row.metric: row.group for row in rows.itertuples()}
    assert places == {
        "traj_error": "control",
        "smoothness": "control",
        "fvd": "appearance",
        "flicker": "degenerate-winner checks",
    }
    assert [measure.name for measure in measures.measures(group)] == [
        "traj_error",
        "smoothness",
        "fvd",
        "flicker",
    ]


def test_means_intervals_and_floor_are_those_of_the_cases(scored):
    _, rows = rows_of(scored)
    row = rows[(rows["model"] == "tora") & (rows["column"] == "flicker")].iloc[0]
    assert (row["value"], row["cases"]) == (1.0, 2)
    assert np.isnan([row["low"], row["high"]]).all()
    assert row["floor"] == 2.0
    assert row["skipped"] == "1 of 3 samples: no still part"


def test_set_scores_carry_their_own_bounds(scored, monkeypatch):
    group, rows = rows_of(scored)
    mine = rows[(rows["model"] == "tora") & (rows["metric"] == "fvd")].set_index("column")
    assert mine.loc["fvd_shapes", ["value", "cases", "main"]].tolist() == [8.5, 3, "yes"]
    assert mine.loc["fvd_videos", "main"] == "no"
    assert (
        mine.loc["fvd_shapes", ["low", "high"]].isna().all()
    )  # three samples are too few for the stored bounds
    monkeypatch.setattr(measures, "MIN_CASES", 3)
    mine = measures.table(group).query("model == 'tora' and column == 'fvd_shapes'")
    assert mine[["low", "high"]].to_numpy().tolist() == [[7.0, 9.5]]


def test_a_value_of_other_samples_is_not_shown(scored):
    _, rows = rows_of(scored, only={"line-000", "wave-002"})
    row = rows[(rows["model"] == "tora") & (rows["column"] == "fvd_shapes")].iloc[0]
    assert np.isnan(row["value"])
    assert "more samples than this table has" in row["skipped"]


def test_report_shows_groups_together_and_skips_with_reasons(scored, tmp_path):
    build(scored, tmp_path / "out", sheets_per_length=0)
    text = (tmp_path / "out" / "table1.md").read_text(encoding="utf-8")
    for words in ("egenerate-winner checks", "fvd_shapes ↓", "8.5 (n = 3)", "no still part"):
        assert words in text, words
    assert "skipped" in (tmp_path / "out" / "metrics.csv").read_text().splitlines()[0]


def test_a_skipped_set_says_why(scored):
    write_json(
        scored[0] / "set_scores.json",
        {
            "fvd": {
                "version": "1",
                "key": "k",
                "samples": [],
                "values": {},
                "skipped": "2 videos, 8 are needed",
            }
        },
    )
    _, rows = rows_of(scored)
    headers, cells = measures.wide(rows, "appearance")
    assert headers == ["model", "frames", "fvd_shapes ↓"]
    assert ["tora", "6", "skipped"] in cells
    assert "fvd_shapes (tora at 6 frames): 2 videos, 8 are needed." in measures.remarks(rows)


def test_what_hardly_moves_is_marked_where_it_might_look_best(scored):
    _, rows = rows_of(scored)
    assert not any("star" in remark for remark in measures.remarks(rows))
    fvd = rows[rows["column"] == "fvd_shapes"]
    for model, moved in (("tora", 0.4), ("ground_truth", 1.0)):
        row = fvd[fvd["model"] == model].iloc[0].to_dict()
        row |= {
            "group": measures.CHECKS,
            "metric": "motion_amount",
            "column": "motion_amount",
            "value": moved,
        }
        rows.loc[len(rows)] = row
    (said,) = [remark for remark in measures.remarks(rows) if "star" in remark]
    assert "tora at 6 frames" in said
    assert "ground_truth" not in said
    looks = {line[0] for line in measures.wide(rows, measures.APPEARANCE)[1]}
    assert looks == {"tora *", "ground_truth"}
    assert "tora" in {line[0] for line in measures.wide(rows, measures.CHECKS)[1]}
