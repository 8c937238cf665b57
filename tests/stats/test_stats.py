"""Bootstrap intervals and paired comparisons."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test

from toraeval.stats import (
    BOOTSTRAP_SEED,
    MIN_CASES,
    bootstrap_band,
    bootstrap_mean,
    bootstrap_ratio,
    case_means,
    holm,
    paired_difference,
    sign_flip_test,
    with_interval,
)
from toraeval.types import UserError


def values_of(numbers):
    return {f"case-{i:03d}": float(x) for i, x in enumerate(numbers)}


def test_interval_is_scipys_bca_of_the_case_means():
    numbers = np.random.default_rng(1).gamma(2.0, 5.0, 20)
    got = bootstrap_mean(values_of(numbers))
    want = bootstrap(
        (numbers,), np.mean, method="BCa", n_resamples=9999, rng=np.random.default_rng(BOOTSTRAP_SEED)
    ).confidence_interval
    assert (got.low, got.high) == pytest.approx((want.low, want.high), rel=1e-12)
    assert (got.mean, got.cases, got.method, got.reason) == (pytest.approx(numbers.mean()), 20, "BCa", None)


def test_interval_covers_the_true_mean_about_as_often_as_promised():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(60):
        interval = bootstrap_mean(values_of(rng.normal(10, 3, 30)), level=0.9, resamples=400)
        hits += interval.low <= 10 <= interval.high
    assert 46 <= hits <= 60


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(9)))
def test_order_of_arrival_changes_nothing(order):
    numbers = values_of([3.0, 1.5, 8.25, 0.1, 2.2, 7.7, 5.5, 4.4, 9.1])
    keys = list(numbers)
    turned = {keys[i]: numbers[keys[i]] for i in order}
    assert bootstrap_mean(turned, resamples=300) == bootstrap_mean(numbers, resamples=300)


def test_seeds_are_averaged_inside_the_case_first():
    several = {"a": [1.0, 3.0], "b": [4.0], "c": [5.0, 9.0, 10.0]}
    assert case_means(several) == {"a": 2.0, "b": 4.0, "c": 8.0}
    np.testing.assert_equal(
        vars(bootstrap_mean(several)), vars(bootstrap_mean({"a": 2.0, "b": 4.0, "c": 8.0}))
    )


def test_one_case_has_no_interval_and_says_why():
    interval = bootstrap_mean({"only": 4.0})
    assert interval.mean == 4.0
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.reason == "n = 1, an interval needs 8 cases"


def test_no_case_has_no_mean():
    interval = bootstrap_mean({"a": float("nan")})
    assert interval.cases == 0
    assert math.isnan(interval.mean)
    assert "no case" in interval.reason


def test_a_value_is_written_with_its_interval_or_with_how_few_cases_it_rests_on():
    nan = float("nan")
    assert with_interval(1.23456, 1.0, 2.0, 20) == "1.235 [1, 2]"
    assert with_interval(1.23456, 1.0, 2.0, 20, ".2f") == "1.23 [1.00, 2.00]"
    assert with_interval(1.23456, nan, nan, MIN_CASES - 1) == f"1.235 (n = {MIN_CASES - 1})"
    assert with_interval(1.23456, nan, nan, MIN_CASES) == "1.235"
    assert with_interval(nan, nan, nan, 3) == ""


def test_constant_values_give_a_degenerate_interval():
    interval = bootstrap_mean(values_of([0.1] * 9))
    assert (interval.mean, interval.low, interval.high) == (0.1, 0.1, 0.1)
    assert interval.method == "constant"


def test_nan_cases_are_left_out_and_infinite_ones_refused():
    assert bootstrap_mean({"a": 1.0, "b": float("nan"), "c": 2.0}).cases == 2
    with pytest.raises(UserError, match="case b"):
        bootstrap_mean({"a": 1.0, "b": float("inf")})
    with pytest.raises(UserError, match="level"):
        bootstrap_mean({"a": 1.0}, level=95)


def test_band_surrounds_the_mean_and_narrows_with_more_cases():
    rng = np.random.default_rng(2)
    curves = {f"c{i:03d}": np.linspace(1, 9, 16) + rng.normal(0, 1, 16) for i in range(64)}
    mean, low, high = bootstrap_band(curves)
    assert ((low <= mean) & (mean <= high)).all()
    _, few_low, few_high = bootstrap_band(dict(list(curves.items())[:8]))
    assert (high - low).mean() < (few_high - few_low).mean()
    np.testing.assert_allclose(mean, np.mean(list(curves.values()), axis=0))


def test_band_skips_what_is_not_scored():
    mean, low, _ = bootstrap_band({"a": np.array([np.nan, 1.0, 2.0]), "b": np.array([np.nan, np.nan, 4.0])})
    np.testing.assert_array_equal(mean, [np.nan, 1.0, 3.0])
    assert np.isnan(low).all()
    curves = {f"c{i}": np.array([np.nan, np.nan if i else 1.0, float(i)]) for i in range(8)}
    np.testing.assert_array_equal(np.isnan(bootstrap_band(curves)[1]), [True, True, False])
    with pytest.raises(UserError, match="one length"):
        bootstrap_band({"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(UserError, match="at least one curve"):
        bootstrap_band({})


def test_pairing_finds_what_unpaired_intervals_hide():
    rng = np.random.default_rng(3)
    hard = rng.uniform(0, 100, 24)
    a, b = values_of(hard), values_of(hard + rng.normal(1.0, 0.3, 24))
    paired = paired_difference(a, b)
    assert paired.difference.high < 0
    assert bootstrap_mean(a).high > bootstrap_mean(b).low
    assert (paired.a_lower + paired.b_lower + paired.ties) == 24
    assert paired.effect < -1


def test_pairing_uses_shared_cases_only_and_names_the_others():
    paired = paired_difference(
        {"a": 1.0, "b": 2.0, "x": 9.0}, {"a": 1.0, "b": 4.0, "y": 9.0, "x": float("nan")}
    )
    assert paired.difference.cases == 2
    assert (paired.only_a, paired.only_b) == (("x",), ("y",))
    assert (paired.a_lower, paired.b_lower, paired.ties) == (1, 0, 1)
    with pytest.raises(UserError, match="no scored case"):
        paired_difference({"a": 1.0}, {"b": 1.0})


def test_ratio_interval_is_scipys_bca_of_paired_cases():
    rng = np.random.default_rng(4)
    b = rng.gamma(3.0, 4.0, 18)
    a = b * rng.uniform(2, 5, 18)
    got = bootstrap_ratio(values_of(a), values_of(b))
    want = bootstrap(
        (a, b),
        lambda x, y, axis: x.mean(axis=axis) / y.mean(axis=axis),
        method="BCa",
        paired=True,
        n_resamples=9999,
        rng=np.random.default_rng(BOOTSTRAP_SEED),
    ).confidence_interval
    assert (got.low, got.high) == pytest.approx((want.low, want.high), rel=1e-12)
    assert got.mean == pytest.approx(a.mean() / b.mean())
    assert got.low < got.mean < got.high


def test_ratio_without_a_divisor_has_no_value():
    assert math.isnan(bootstrap_ratio({"a": 1.0, "b": 2.0}, {"a": 0.0, "b": 0.0}).mean)
    lonely = bootstrap_ratio({"a": 1.0, "b": 2.0}, {"a": 4.0})
    assert (lonely.mean, lonely.cases) == (0.25, 1)
    assert bootstrap_ratio({"a": 1.0}, {"b": 1.0}).cases == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 5, 11])
def test_sign_flips_give_the_p_value_of_scipys_exact_permutations(count, seed):
    numbers = np.random.default_rng(seed).normal(0.4, 1.0, count)
    # scipy swaps the two sides of pairs; against zeros that is flipping signs
    want = permutation_test(
        (numbers, np.zeros(count)),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="two-sided",
    ).pvalue
    assert sign_flip_test(numbers) == pytest.approx(want, abs=1e-12)


def test_many_cases_are_drawn_and_agree_with_the_exact_test_nearby(monkeypatch):
    numbers = np.random.default_rng(8).normal(0.5, 1.0, 16)
    exact = sign_flip_test(numbers)
    monkeypatch.setattr("toraeval.stats.paired.EXACT_CASES", 4)
    drawn = sign_flip_test(numbers)
    assert drawn == pytest.approx(exact, rel=0.1)
    assert drawn == sign_flip_test(numbers[::-1])
    assert sign_flip_test(np.full(400, 2.0)) == 1 / 100_000


def test_p_of_no_spread_no_difference_and_one_case():
    assert sign_flip_test(np.ones(4)) == 2 / 16
    assert sign_flip_test(np.zeros(6)) == 1.0
    assert sign_flip_test(np.array([0.1, 0.2, -0.3])) == 1.0
    assert math.isnan(sign_flip_test(np.array([3.0])))


def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(9)
    alarms = sum(sign_flip_test(rng.normal(0, 1, 8)) <= 0.05 for _ in range(400))
    assert alarms <= 32


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, float("nan"), 0.7])[0::2] == [1.0, 1.0]
    assert math.isnan(holm([0.6, float("nan")])[1])
    assert holm([]) == []
