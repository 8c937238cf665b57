"""What a comparison could have seen agrees with tables of the t test and with repeated experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.power import experiments
from toraeval.stats import interval_sensitivity, paired_difference, ratio_sensitivity
from toraeval.stats.power import Sensitivity, cases_needed, paired_sensitivity, power, smallest_effect


def test_power_and_sample_sizes_are_those_of_the_tables() -> None:
    # G*Power 3.1, matched pairs, two-sided 5 %, 80 %: d_z 0.2, 0.5, 0.8 need 199, 34, 15 pairs
    assert [cases_needed(effect) for effect in (0.2, 0.5, 0.8)] == [199, 34, 15]
    critical = stats.t.ppf(0.975, 15)
    assert power(0.7, 16) == pytest.approx(stats.nct.sf(critical, 15, 0.7 * 4), abs=1e-4)
    for cases in (6, 16, 32, 500):
        assert power(smallest_effect(cases), cases) == pytest.approx(0.8, abs=1e-6)
    assert smallest_effect(1000) == pytest.approx(smallest_effect(999), rel=2e-3)
    assert cases_needed(100.0) == 6
    assert cases_needed(1e-3) == pytest.approx(7.85e6, rel=1e-3)


def test_repeated_experiments_find_the_stated_difference_four_times_in_five() -> None:
    found, stated = experiments("normal", 12, 400)
    assert found == pytest.approx(0.8, abs=0.06)  # three standard errors
    assert np.median(stated) == pytest.approx(1, abs=0.1)
    skewed, _ = experiments("exponential, long tail towards 0", 12, 200)
    assert 0.65 < skewed < 0.9


def test_the_unit_is_that_of_the_values_and_pairs_help() -> None:
    rng = np.random.default_rng(4)
    hard = rng.gamma(2.0, 20.0, 16)
    own = {f"c{k}": float(value) for k, value in enumerate(hard + rng.normal(2, 1, 16))}
    other = {f"c{k}": float(value) for k, value in enumerate(hard)}
    seen = paired_difference(own, other).sensitivity
    assert 0.4 < seen.detectable < 1.2  # px; the spread of the cases themselves is 28 px
    tenfold = paired_difference(*({k: 10 * v for k, v in side.items()} for side in (own, other))).sensitivity
    assert tenfold == pytest.approx((10 * seen.detectable, seen.cases_needed))


def test_the_ratio_that_could_be_seen_is_the_difference_beside_the_divisor() -> None:
    rng = np.random.default_rng(6)
    own, other = ({f"c{k}": float(v) for k, v in enumerate(rng.gamma(9, size=12))} for _ in range(2))
    other["more"] = 99.0  # a case that one side lacks
    seen, ratio = paired_difference(own, other).sensitivity, ratio_sensitivity(own, other)
    shared = np.mean([other[case] for case in own])
    assert ratio == pytest.approx((seen.detectable / shared, seen.cases_needed))
    assert all(map(math.isnan, ratio_sensitivity(own, {"elsewhere": 1.0})))


def test_both_numbers_in_words() -> None:
    assert (
        Sensitivity(5.33, 40).words("px")
        == "with 80 % power they show 5.3 px, and 40 would show this difference"
    )
    assert Sensitivity(math.nan, 6).words() == "6 would show this difference"
    assert Sensitivity(math.nan, math.nan).words("px") == ""


def test_what_cannot_be_said_is_not_said() -> None:
    few = paired_sensitivity(np.array([1.0, 2.0, 3.0, math.nan]))
    assert math.isnan(few.detectable)  # no outcome of 3 cases has p below 5 %
    assert few.cases_needed == 6
    assert all(map(math.isnan, paired_sensitivity(np.array([1.0]))))
    assert math.isnan(paired_sensitivity(np.array([-1.0, 1.0] * 4)).cases_needed)
    assert paired_sensitivity(np.full(8, 2.0)) == (0.0, 6)
    assert math.isnan(paired_sensitivity(np.zeros(8)).cases_needed)


def test_two_intervals_say_what_their_difference_could_show() -> None:
    seen = interval_sensitivity(2.0, (9.02, 12.94), (7.02, 10.94), 16)  # standard errors of 1
    assert seen.detectable == pytest.approx(2.8016 * math.sqrt(2), rel=1e-4)
    assert seen.cases_needed == math.ceil(16 * (seen.detectable / 2) ** 2)
    assert all(map(math.isnan, interval_sensitivity(2.0, (math.nan, 1), (0, 1), 16)))
