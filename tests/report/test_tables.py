"""The result table and the error-over-time table."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from toraeval.report import claims, findings, measures, tables
from toraeval.report.collect import collect
from toraeval.stats import bootstrap_mean
from toraeval.store.sealed import read_json, write_json

REQUIRED = (
    "model,frames,cases,failures,traj_error,traj_error_low,traj_error_high,traj_error_l2,tracker,tracker_floor,"
    "seconds_per_clip,fingerprint"
)


def only_group(runs, **options):
    (group,) = collect(runs, **options)
    return group


def test_table_starts_with_the_required_columns(bench):
    text = tables.to_csv(tables.table(only_group(bench)))
    assert text.splitlines()[0].startswith(REQUIRED)
    rows = pd.read_csv(io.StringIO(text))
    assert list(zip(rows["frames"], rows["model"], strict=True)) == [
        (frames, model) for frames in (6, 12) for model in ("ground_truth", "tora", "static")
    ]


def test_values_are_means_over_cases_with_their_interval(bench):
    group = only_group(bench)
    row = tables.table(group).set_index(["model", "frames"]).loc[("tora", 12)]
    entry = next(entry for entry in group.at(12) if entry.label == "tora")
    expected = bootstrap_mean(dict(zip(entry.cases["case"], entry.cases["traj_error"], strict=True)))
    assert row["traj_error"] == expected.mean
    assert np.isnan([row["traj_error_low"], row["traj_error_high"]]).all()  # three cases
    assert row["traj_error_l2"] == pytest.approx(entry.cases["traj_error_l2"].mean())
    assert row["seconds_per_clip"] == 1.25
    assert (row["cases"], row["failures"], row["frames_generated"], row["length_mode"]) == (3, 0, "13", "cut")


def test_floor_and_standstill_bracket_every_model(bench):
    rows = tables.table(only_group(bench)).set_index(["model", "frames"])
    for frames in (6, 12):
        floor = rows.loc[("ground_truth", frames), "traj_error"]
        assert (rows.xs(frames, level="frames")["tracker_floor"] == floor).all()
        assert rows.loc[("static", frames), "ratio_to_static"] == pytest.approx(1.0)
        assert 0 < rows.loc[("ground_truth", frames), "ratio_to_static"] < 0.1
        assert rows.loc[("tora", frames), "ratio_to_static"] < 1


def test_failed_and_unscored_samples_are_counted_and_never_zero(make_run, tmp_path):
    runs = [
        make_run(tmp_path, "tora", 6, failed=("line-000",), unscored=("wave-002",)),
        make_run(tmp_path, "static", 6),
    ]
    group = only_group(runs)
    rows = tables.table(group)
    row = rows.set_index("model").loc["tora"]
    assert (row["cases"], row["failures"], row["unscored"]) == (1, 1, 1)
    assert row["traj_error"] > 0
    assert np.isnan(row["traj_error_low"])
    assert row["interval"] == "none: n = 1, an interval needs 8 cases"
    remarks = "\n".join(claims.notes(group, rows))
    assert "6 frames: the rows cover different cases (1 are shared by all)" in remarks
    assert "tora at 6 frames: 1 failed and 1 unscored samples are left out." in remarks


def test_a_run_without_any_score_still_has_a_row(make_run, tmp_path):
    group = only_group([make_run(tmp_path, "tora", 6, failed=("line-000", "curve-001", "wave-002"))])
    row = tables.table(group).iloc[0]
    assert (row["cases"], row["failures"]) == (0, 3)
    assert np.isnan(row["traj_error"])
    assert findings.error_over_time(group).empty
    assert "|" in tables.to_markdown(tables.table(group), group, measures.table(group), {})


def test_seeds_are_averaged_inside_their_case(make_run, tmp_path):
    row = tables.table(only_group([make_run(tmp_path, "tora", 6, seeds=(0, 1, 2))])).iloc[0]
    assert (row["cases"], row["seeds"]) == (3, 3)


def test_markdown_shows_every_row_and_remark(bench):
    group = only_group(bench)
    rows = tables.table(group)
    text = tables.to_markdown(rows, group, measures.table(group), {"Mind": ["mind this"], "Empty": []})
    assert len([line for line in text.splitlines() if line.startswith("|")]) == len(rows) + 2
    assert all(name in text for name in REQUIRED.split(","))
    assert "- mind this" in text


def test_definition_explains_every_column_and_metric(bench, built):
    group = only_group(bench)
    content = json.loads((built / "table1.definition.json").read_text(encoding="utf-8"))
    assert set(content["columns"]) == set(tables.table(group).columns)
    assert content["metrics"]["traj_error"]["version"] == "1"
    assert set(content["error_over_time"]) == set(findings.error_over_time(group).columns)


def test_error_over_time_is_the_mean_over_cases(bench):
    group = only_group(bench)
    drawn = findings.error_over_time(group)
    entry = next(entry for entry in group.at(12) if entry.label == "tora")
    mine = drawn[(drawn["model"] == "tora") & (drawn["frames"] == 12)]
    assert list(mine["frame"]) == list(range(1, 12))
    np.testing.assert_allclose(mine["error"], np.mean(list(entry.curves().values()), axis=0)[1:])
    assert mine[["low", "high"]].isna().all(axis=None)
    static = drawn[(drawn["model"] == "static") & (drawn["frames"] == 12)]["error"].to_numpy()
    reference = drawn[(drawn["model"] == "static_reference") & (drawn["frames"] == 12)]["error"].to_numpy()
    np.testing.assert_allclose(static, reference)


def test_clips_of_different_lengths_are_laid_over_one_clock():
    curve = np.array([np.nan, 1.0, 2.0, 3.0, 4.0])
    laid = findings._over_time(curve)
    assert len(laid) == findings.MOMENTS
    assert np.isnan(laid[0])
    assert laid[-1] == 4.0
    assert laid[findings.MOMENTS // 2] == pytest.approx(2.0)


def test_partial_runs_are_marked(make_run, tmp_path):
    run = make_run(tmp_path, "tora", 6)
    record = read_json(run / "record.json")
    digest = "ab" * 32
    record |= {
        "partial": True,
        "fingerprints": {"generator": {"name": "tora", "files": {"weights_sha256": digest}}},
    }
    write_json(run / "record.json", record)
    group = only_group([run])
    rows = tables.table(group)
    assert rows.iloc[0][["partial", "weights"]].tolist() == ["yes", digest[:12]]
    assert "1 of 1 rows cover a part of their suite only" in claims.notes(group, rows)[0]
