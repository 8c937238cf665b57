"""What the table says in words."""

import numpy as np
import pytest

from toraeval.report import claims, tables
from toraeval.report.collect import collect
from toraeval.stats import bootstrap_ratio, paired_difference


@pytest.fixture(scope="module")
def rivals(make_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("rivals")
    runs = [
        make_run(root, model, 6, video=False) for model in ("tora", "motionctrl", "static", "ground_truth")
    ]
    (group,) = collect(runs)
    return group


def test_ratio_stands_beside_the_papers_claim(rivals):
    rows = claims.ratios(rivals)
    assert rows["model"].tolist() == ["motionctrl"]
    entries = {entry.label: entry.by_case("traj_error") for entry in rivals.at(6)}
    expected = bootstrap_ratio(entries["motionctrl"], entries["tora"])
    assert rows.iloc[0][["ratio", "cases"]].tolist() == [expected.mean, 3]
    assert rows.iloc[0][["low", "high"]].isna().all()
    lines = claims.ratio_lines(rows)
    assert "3 to 5 times" in lines[0]
    assert f"motionctrl at 6 frames: {expected.mean:.2f} times" in lines[1]
    assert "(n = 3, too few for an interval)" in lines[1]
    rows[["low", "high", "cases"]] = 1.5, 2.5, 16
    assert "(95 % interval 1.50 to 2.50)" in claims.ratio_lines(rows)[1]
    rows[["detectable", "cases_needed"]] = 0.25, 40.0
    assert "show a ratio 0.25 away from 1; 40 cases would show this one." in claims.ratio_lines(rows)[1]


def test_copied_pixels_are_no_rival(make_run, tmp_path):
    runs = [make_run(tmp_path, model, 6, video=False) for model in ("tora", "dragnuwa", "cut_and_drag")]
    (group,) = collect(runs)
    assert claims.ratios(group)["model"].tolist() == ["dragnuwa"]


def test_the_ratio_that_could_have_been_seen_follows_from_the_paired_errors(rivals, monkeypatch):
    values = {
        label: {f"c{k}": float(v) for k, v in enumerate(np.random.default_rng(seed).gamma(9, size=12))}
        for seed, label in enumerate(("tora", "motionctrl"))
    }
    monkeypatch.setattr(type(rivals.entries[0]), "by_case", lambda entry, _: values[entry.label])
    row = claims.ratios(rivals).iloc[0]
    seen = paired_difference(values["motionctrl"], values["tora"]).sensitivity
    assert row["detectable"] == pytest.approx(seen.detectable / np.mean(list(values["tora"].values())))
    assert row["cases_needed"] == seen.cases_needed


def test_without_a_rival_nothing_is_claimed(bench):
    (group,) = collect(bench)
    assert claims.ratio_lines(claims.ratios(group)) == []


def test_rows_nearer_than_the_floor_are_marked(rivals):
    errors = {entry.label: entry.column("traj_error").mean() for entry in rivals.at(6)}
    gap = abs(errors["tora"] - errors["motionctrl"])
    wide = claims.below_floor(rivals.at(6), dict.fromkeys(errors, gap * 1.01))
    assert "motionctrl" in wide["tora"]
    assert "tora" in wide["motionctrl"]
    assert set(wide) == {"tora", "motionctrl", "static"}
    narrow = claims.below_floor(rivals.at(6), dict.fromkeys(errors, gap * 0.99))
    assert "motionctrl" not in narrow["tora"]
    everything = claims.below_floor(rivals.at(6), dict.fromkeys(errors, 1e6))
    assert everything["static"] == ["motionctrl", "tora"]
    nothing = claims.below_floor(rivals.at(6), dict.fromkeys(errors, np.nan))
    assert nothing == {"motionctrl": [], "tora": [], "static": []}


def test_marked_pairs_become_one_sentence_each(rivals):
    rows = tables.table(rivals)
    rows["below_floor"] = ["", "tora", "motionctrl", ""]
    rows["model"] = ["ground_truth", "motionctrl", "tora", "static"]
    (line,) = claims.floor_lines(rows)
    assert line.startswith("6 frames: motionctrl and tora differ by less than")
