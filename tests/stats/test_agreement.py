"""Krippendorff's alpha against his published example, rank correlation against SciPy, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from toraeval.stats.agreement import krippendorff_alpha, rank_correlation

NONE = np.nan
# Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C: four observers, twelve units
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)


@pytest.mark.parametrize(("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(scale, alpha):
    found = krippendorff_alpha(PUBLISHED, scale)
    assert found.mean == pytest.approx(alpha, abs=5e-4)
    assert found.cases == 11  # one unit has a single answer
    assert found.low < found.mean < found.high <= 1


def test_alpha_of_agreement_chance_and_opposition():
    answers = np.tile([-1.0, 0, 1, 1, -1, 0, 1, -1, 0, 1], (3, 1))
    assert krippendorff_alpha(answers).mean == 1
    assert krippendorff_alpha(np.stack([answers[0], -answers[0]])).mean < -0.3
    chance = np.random.default_rng(0).integers(-1, 2, (4, 4000)).astype(float)
    assert abs(krippendorff_alpha(chance).mean) < 0.02


def test_alpha_that_cannot_be_known():
    assert np.isnan(krippendorff_alpha(np.ones((2, 9))).mean)  # nothing tells agreement from habit
    assert krippendorff_alpha(np.ones((1, 9))).cases == 0
    few = krippendorff_alpha([[1, 0, 1], [1, 0, 0]])
    assert np.isfinite(few.mean)
    assert not few.known


def test_alpha_does_not_depend_on_the_order_of_people_and_cases():
    shuffled = PUBLISHED[::-1][:, np.random.default_rng(1).permutation(12)]
    assert krippendorff_alpha(shuffled).mean == pytest.approx(krippendorff_alpha(PUBLISHED).mean, abs=1e-12)


def test_rank_correlation_is_scipys_with_an_interval():
    random = np.random.default_rng(2)
    x = random.integers(0, 4, 40).astype(float)  # many ties
    y = x + random.normal(size=40)
    found = rank_correlation(x, y)
    assert found.mean == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert -1 <= found.low < found.mean < found.high <= 1
    assert found.low > 0
    missing = np.append(x, np.nan), np.append(y, 1.0)
    assert rank_correlation(*missing).mean == found.mean
    assert rank_correlation(*missing).cases == 40


def test_rank_correlation_that_cannot_be_known():
    assert np.isnan(rank_correlation([1, 2], [1, 2]).mean)
    assert np.isnan(rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]).mean)
    four = rank_correlation([1, 2, 3, 4], [1, 2, 4, 3])
    assert four.mean == pytest.approx(0.8)
    assert not four.known
