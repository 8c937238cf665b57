"""Where a model is better than Tora and why: numbers, sentences, files."""

import numpy as np
import pandas as pd
import pytest

from toraeval.report import claims_page, claims_reading
from toraeval.report.assemble import build
from toraeval.report.claims_figure import draw_claims
from toraeval.report.claims_reading import WINDOWED, reading
from toraeval.report.collect import collect
from toraeval.report.reasons import (
    AFTER,
    ALL,
    BEFORE,
    CLAIMS,
    ERROR,
    IN_VIEW,
    NEEDED,
    RATIO,
    SHARE,
    STEP,
    WINDOW_ERROR,
    reasons,
    seams_of,
    window_means,
)
from toraeval.stats import case_means, ratio_sensitivity

pytestmark = pytest.mark.timeout(180)

TAGS = {
    "line-000": {"objects": 1, "occlusion": "none", "speed": "slow", "seam": "visible"},
    "curve-001": {"objects": 2, "occlusion": "panel", "speed": "fast", "seam": "hidden"},
    "wave-002": {"objects": 3, "occlusion": "object", "speed": "slow", "seam": "hidden"},
}


@pytest.fixture(scope="module")
def runs(make_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("reasons")
    names = ("tora", "motionctrl", "static", "ground_truth")
    return [make_run(root, model, frames, video=False, tags=TAGS) for model in names for frames in (6, 40)]


@pytest.fixture(scope="module")
def group(runs):
    (found,) = collect(runs)
    return found


@pytest.fixture(scope="module")
def rows(group):
    return reasons(group)


def only(rows, **wanted):
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return rows


def test_a_seam_is_read_in_the_scored_frames_around_it():
    errors = np.arange(40.0)[None].repeat(2, 0)
    errors[0, 0] = errors[1, 0] = np.nan  # given
    errors[1, 14:20] = np.nan  # hidden where the first window ends
    first, second, third, fourth = seams_of(errors)
    assert (first.number, first.hidden, first.before, first.after) == (0, False, 16, 17)
    assert (second.number, second.hidden, second.before, second.after) == (1, False, 32, 33)
    assert (third.number, third.hidden, third.before, third.after) == (0, True, 13, 20)
    assert (fourth.number, fourth.hidden) == (1, False)


def test_an_object_that_is_not_scored_on_one_side_has_no_seam():
    errors = np.ones((1, 20))
    errors[0, 17:] = np.nan
    assert seams_of(errors) == []
    assert seams_of(np.ones((1, 17))) == []


def test_windows_hold_sixteen_new_frames():
    values = np.arange(40.0)[None]
    assert window_means(values) == [8.5, 24.5, 36.0]


def test_kinds_of_one_tag_add_up_to_the_difference(group, rows):
    tora, rival = (
        np.mean(list(case_means(entry.by_case("traj_error")).values()))
        for name in ("tora", "motionctrl")
        for entry in group.at(6)
        if entry.label == name
    )
    shares = only(rows, frames=6, model="motionctrl", measure=SHARE).set_index("kind")["value"]
    assert shares[ALL] == pytest.approx(rival - tora)
    assert shares["one object"] + shares["several objects"] == pytest.approx(rival - tora)
    panels = ["nothing is hidden", "behind a panel", "behind another object"]
    assert shares[panels].sum() == pytest.approx(rival - tora)
    ratio = only(rows, frames=6, model="motionctrl", measure=RATIO, kind=ALL)["value"].item()
    assert ratio == pytest.approx(rival / tora)
    needed = only(rows, frames=6, model="motionctrl", measure=NEEDED, kind=ALL)["value"].item()
    sides = {entry.label: entry.by_case("traj_error") for entry in group.at(6)}
    assert needed == ratio_sensitivity(sides["motionctrl"], sides["tora"]).cases_needed


def test_steps_join_both_sides_of_the_seams(rows):
    here = only(rows, frames=40, model="motionctrl", kind=IN_VIEW)
    pooled = here[here["window"].isna()].set_index("measure")["value"]
    assert pooled[STEP] == pytest.approx(pooled[AFTER] - pooled[BEFORE])
    assert set(here["window"].dropna()) == {0, 1}
    assert len(only(rows, frames=40, model="tora", measure=WINDOW_ERROR)) == 3
    assert only(rows, frames=6, measure=WINDOW_ERROR).empty
    assert not set(rows["model"]) & {"static", "ground_truth"}


def test_page_says_who_wins_from_intervals_alone():
    def verdict(low, high, model="motionctrl"):
        row = (128, model, RATIO, ALL, np.nan, (low + high) / 2, low, high, 36)
        return claims_page.verdict(pd.DataFrame([row], columns=list(CLAIMS)), 128)

    assert "motionctrl wins; the claim does not hold." in verdict(0.4, 0.9)
    assert "no winner, the interval holds 1; the claim does not hold." in verdict(0.4, 2.0)
    assert "no winner, the interval holds 1." in verdict(0.4, 4.0)
    assert "Tora wins by less than 3 times; the claim does not hold." in verdict(1.2, 2.0)
    assert "Tora wins, and the interval meets 3 to 5." in verdict(2.0, 4.0)
    assert "Tora wins by more than 5 times." in verdict(6.0, 8.0)
    assert "too few cases to say who wins" in verdict(np.nan, np.nan)
    assert "(no U-Net, so the claim is not about it)" in verdict(0.4, 0.9, "wan_move")
    short = (16, "motionctrl", RATIO, ALL, np.nan, 2.0, 1.5, 2.5, 36)
    said = claims_page.verdict(pd.DataFrame([short], columns=list(CLAIMS)), 16)
    assert said.endswith("times Tora's error: Tora wins."), "the claim is about 128 frames"


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        ((9.0, 8.0, 10.0), "px. Beginning a new window there costs it 8.00 px more."),
        ((1.2, 0.5, 2.0), "px (the intervals overlap). Beginning a new window there costs it nothing."),
        ((-2.0, -3.0, 1.5), "px (the intervals overlap). It comes out of the seam better than Tora"),
        ((9.0, np.nan, np.nan), "px (too few cases for an interval). Beginning a new window"),
    ],
)
def test_a_seam_is_read_with_its_intervals(mine, words):
    cells = {"tora": (1.0, 0.5, 1.5), "motionctrl": mine}
    rows = [(40, name, STEP, IN_VIEW, np.nan, *values, 9) for name, values in cells.items()]
    rows.append((40, "motionctrl", RATIO, ALL, np.nan, 1.0, 0.9, 1.1, 9))
    (line,) = reading(pd.DataFrame(rows, columns=list(CLAIMS)), "motionctrl", {"motionctrl": WINDOWED})
    assert words in line


def test_page_shows_every_kind_and_window(group, rows):
    text = claims_page.markdown(rows, group)
    for kind in ("one object", "several objects", "behind a panel", "fast", "hidden where windows meet"):
        assert f"| {kind}" in text
    assert "## Why: 40 frames, window by window" in text
    assert "motionctrl (all frames at once) against Tora:" in text
    ratio = only(rows, frames=40, measure=RATIO, kind="one object")["value"].item()
    assert f"{ratio:.2f} (n = 1)" in text
    error = only(rows, frames=40, model="tora", measure=ERROR, kind=ALL)["value"].item()
    assert f"| {error:.2f}" in text


def test_models_that_bind_entities_are_named(group, rows, monkeypatch):
    assert "bind entities" not in claims_page.markdown(rows, group)
    own = next(entry for entry in group.entries if entry.label == "tora")
    known = {"generator": {"model": "tora", "binding": "entity"}}
    monkeypatch.setitem(own.run.record, "fingerprints", known)
    assert "among the published models, only Wan-Move does" in claims_page.markdown(rows, group)
    rival = next(entry for entry in group.entries if entry.label == "motionctrl")
    plain = {"generator": {"model": "motionctrl", "binding": "none"}}
    monkeypatch.setitem(rival.run.record, "fingerprints", plain)
    assert "Inputs are unequal: " in claims_page.markdown(rows, group)
    assert "motionctrl none" in claims_page.markdown(rows, group)


def test_files_come_with_a_rival_and_go_without(runs, tmp_path):
    names = {"claims.csv", "claims.md", "claims.png"}
    short = [run for run in runs if run.name.startswith("6f")]
    build(short, tmp_path, sheets_per_length=0)
    assert {path.name for path in tmp_path.iterdir()} >= names
    build([run for run in short if run.parent.name in ("tora", "static")], tmp_path, sheets_per_length=0)
    assert not {path.name for path in tmp_path.iterdir()} & names


def test_the_figure_is_drawn_with_windows_and_not_again_without_need(rows, tmp_path):
    draw_claims(rows, "title", tmp_path / "claims.png")
    first = (tmp_path / "claims.png").stat().st_mtime_ns
    draw_claims(rows, "title", tmp_path / "claims.png")
    assert (tmp_path / "claims.png").stat().st_mtime_ns == first


def test_differences_below_the_floor_and_equal_windows_win_nothing():
    columns = ["model", "kind", "low", "high"]
    ratios = pd.DataFrame(
        [("wan_move", ALL, 1.02, 1.2), ("wan_move", "one object", 1.5, 3.0)], columns=columns
    )
    apart = pd.Series({ALL: 0.05, "one object": 2.0})
    said = claims_page._winners(ratios, "wan_move", apart, 0.1)
    assert said == (
        "wan_move and Tora: Tora wins in one object; a difference below the tracker's floor in all cases."
    )
    assert "Tora wins in all cases, one object." in claims_page._winners(ratios, "wan_move", apart, 0.01)
    assert claims_reading._course([0.9, 1.0], [1.0, 0.9]) == "They differ by less than 0.5 px in either."
    assert "Who leads changes" in claims_reading._course([0.9, 3.0], [1.0, 0.9])
