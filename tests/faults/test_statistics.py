"""Numbers that were silently wrong: ties decided by rounding, NaN, constant differences, lost shifts, few cases."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.coverage import coverage
from toraeval.cli.compare import _cell as compare_cell
from toraeval.metrics.distances import EPE
from toraeval.metrics.shared.set_distances import distance_of_sets
from toraeval.report import ablations, claims, measures, tables
from toraeval.report.figures import _draw_curve, styles
from toraeval.stats import (
    MIN_CASES,
    bootstrap_band,
    bootstrap_mean,
    bootstrap_ratio,
    paired_difference,
    sign_flip_test,
)
from toraeval.types import Case, Tracks, Trajectories, UserError


def values_of(numbers):
    return {f"case-{i:03d}": float(x) for i, x in enumerate(numbers)}


@pytest.mark.parametrize("scale", [10.0, 0.1, 3.0, 1e6, 1e-7, 1 / 3, 1e-160])
@pytest.mark.parametrize("seed", range(3))
def test_bounds_scale_with_the_data(scale, seed):
    """Few different values give many resamples that equal the mean seen, up to the order of their sum."""
    numbers = np.random.default_rng(seed).choice([0.1, 0.2, 0.3, 0.7], 12)
    plain, scaled = bootstrap_mean(values_of(numbers)), bootstrap_mean(values_of(numbers * scale))
    assert (scaled.low / scale, scaled.high / scale) == pytest.approx((plain.low, plain.high), rel=1e-9)
    other = np.random.default_rng(seed + 50).choice([0.3, 0.6, 0.9], 12)
    ratio = bootstrap_ratio(values_of(numbers), values_of(other))
    both = bootstrap_ratio(values_of(numbers * scale), values_of(other * scale))
    assert (both.low, both.high) == pytest.approx((ratio.low, ratio.high), rel=1e-9)


def test_a_case_without_a_value_does_not_make_a_difference_significant():
    numbers = np.array([0.5, -0.2, 0.9, 0.4, 0.1])
    assert sign_flip_test(np.append(numbers, np.nan)) == sign_flip_test(numbers) > 0
    many = np.random.default_rng(0).normal(0, 1, 40)
    assert sign_flip_test(np.append(many, [np.nan, np.nan])) == sign_flip_test(many)
    assert math.isnan(sign_flip_test(np.array([np.nan, 1.0])))
    with pytest.raises(UserError, match="a difference is infinite"):
        sign_flip_test(np.array([np.inf, 1.0, 2.0]))


@pytest.mark.parametrize("shift", [0.1, 1.0, 1e3])
def test_differences_that_are_constant_up_to_rounding_have_no_effect_size(shift):
    b = np.random.default_rng(1).uniform(1, 100, 12)
    found = paired_difference(values_of(b + shift), values_of(b))
    assert np.ptp((b + shift) - b) > 0  # rounding alone
    assert math.isnan(found.effect)
    assert found.difference.method == "constant"
    assert found.difference.low == found.difference.high == pytest.approx(shift)
    assert (found.a_lower, found.b_lower, found.ties) == (0, 12, 0)


def test_differences_of_rounding_alone_are_ties():
    a = {f"c{i}": (i + 1) * 0.1 + 0.2 for i in range(10)}
    b = {f"c{i}": 0.2 + (i + 1) / 10 for i in range(10)}
    b["c0"] = 0.3
    found = paired_difference(a, b)
    assert (found.ties, found.p, found.difference.mean) == (10, 1.0, 0.0)
    assert math.isnan(found.effect)


def test_real_differences_keep_their_effect():
    numbers = np.random.default_rng(2).normal(1.0, 0.5, 12)
    found = paired_difference(values_of(numbers + 5), values_of(np.full(12, 5.0)))
    assert found.effect == pytest.approx(numbers.mean() / numbers.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize("shift", [0.1, 1.0, 100.0])
def test_a_shift_of_the_means_survives_a_large_spread(shift):
    features = np.random.default_rng(3).normal(0, 1e6, (300, 4))
    moved = features + np.array([shift, 0, 0, 0])
    assert distance_of_sets([features], [moved]) == pytest.approx(shift**2, rel=1e-3)
    assert distance_of_sets([features], [features.copy()]) == 0


def case_of(target, width, height):
    tracks = np.asarray(target, dtype=float)
    paths = Trajectories(
        tracks_NT2=tracks, visible_NT=np.ones(tracks.shape[:2], bool), canvas=(width, height), fps=8.0
    )
    return Case(
        id="a", suite="s", prompt="", trajectories=paths, frames=tracks.shape[1], height=height, width=width,
        fps=8.0, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("edge", [-0.45, 63.3, 63.49])
def test_epe_at_the_other_size_scores_the_same_points(edge):
    """A target in the outer half pixel is inside the picture; it stays so in pixels of MoveBench's size."""
    target = [[[30.0, 30.0], [edge, 30.0], [30.0, 31.0]]]
    seen = np.array([[[30.0, 30.0], [30.0, 30.0], [33.0, 35.0]]])
    tracks = Tracks(tracks_NT2=seen, visible_NT=np.ones((1, 3), bool), confidence_NT=np.ones((1, 3)), info={})
    values = EPE().score(case_of(target, 64, 64), tracks, None).values
    offsets = (seen - np.array(target))[0, 1:]
    assert values["epe"] == pytest.approx(np.linalg.norm(offsets, axis=-1).mean())
    scaled = offsets * [832 / 64, 480 / 64]
    assert values["epe_832x480"] == pytest.approx(np.linalg.norm(scaled, axis=-1).mean())


@pytest.mark.parametrize("cases", [2, 3, MIN_CASES - 1])
def test_few_cases_get_no_interval(cases):
    rng = np.random.default_rng(4)
    a, b = (values_of(rng.uniform(1, 9, cases)) for _ in range(2))
    difference = paired_difference(a, b)
    for found in (bootstrap_mean(a), bootstrap_ratio(a, b), difference.difference):
        assert (found.method, found.cases) == ("none", cases)
        assert found.reason == f"n = {cases}, an interval needs 8 cases"
        assert np.isnan([found.low, found.high]).all()
        assert np.isfinite(found.mean)
    assert 0 < difference.p <= 1
    mean, low, high = bootstrap_band({name: np.full(4, value) for name, value in a.items()})
    assert np.isfinite(mean).all()
    assert np.isnan([low, high]).all()


def test_enough_cases_get_one():
    assert bootstrap_mean(values_of(np.arange(8.0))).known


def test_tables_say_n_where_an_interval_would_stand():
    rows = pd.DataFrame({"cases": [3, 16, 0], "traj_error_low": [np.nan, 1.5, np.nan]})
    assert tables.with_counts(rows)["traj_error_low"].fillna("").tolist() == ["n = 3", 1.5, ""]
    assert compare_cell({"low": np.nan, "high": np.nan, "cases": 5}, "interval") == "n = 5"
    assert compare_cell({"low": 1.0, "high": 2.0, "cases": 9}, "interval") == "[1, 2]"
    row = pd.Series({"value": 2.0, "low": np.nan, "high": np.nan, "cases": 4, "skipped": ""})
    assert measures._cell(row) == "2 (n = 4)"
    ratio = pd.DataFrame(
        [(16, "m", "tora", 2.0, np.nan, np.nan, 3, np.nan, np.nan)], columns=list(claims.RATIOS)
    )
    assert "(n = 3, too few for an interval)" in claims.ratio_lines(ratio)[1]


def test_the_ablation_table_says_n():
    rows = pd.DataFrame([dict.fromkeys(ablations.ABLATIONS, 1.0) | {
        "ablation": "fusion", "variant": "a", "cases": 3, "traj_error_low": np.nan, "traj_error_high": np.nan,
        "difference": None, "difference_low": None, "difference_high": None,
    }])  # fmt: skip
    line = next(line for line in ablations.markdown(rows, []).splitlines() if line.startswith("| a"))
    assert line.count("n = 3") == 2


def test_a_curve_of_few_cases_is_labelled_with_their_number():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    steps = np.arange(1, 5.0)
    rows = pd.DataFrame(
        {"frame": steps, "time": steps / 4, "cases": 3, "error": steps, "low": np.nan, "high": np.nan}
    )
    _draw_curve(axes, rows, styles(["tora"])["tora"])
    assert axes.get_legend_handles_labels()[1] == ["tora (n = 3)"]


def test_coverage_falls_with_the_number_of_cases():
    """The table of docs/metrics.md, roughly: why fewer than 8 cases get no interval."""
    few, many = (coverage("exponential", cases, 120) for cases in (3, 30))
    assert few < 0.82
    assert 0.85 < many <= 1
