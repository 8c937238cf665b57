"""Do people agree with each other, and does a number agree with people?

Shape legend: R raters, U units that they judged, V different answers, C cases, B resamples.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from toraeval.stats.intervals import (
    BOOTSTRAP_SEED,
    LEVEL,
    MIN_CASES,
    Interval,
    without_interval,
)
from toraeval.types import FloatArray

Scale = Literal["nominal", "ordinal", "interval"]
DRAWS = 2000


def krippendorff_alpha(answers_RU: npt.ArrayLike, scale: Scale = "ordinal") -> Interval:
    """Return Krippendorff's alpha with its percentile bootstrap interval over units.

    Krippendorff 2011, Computing Krippendorff's Alpha-Reliability: 1 - observed / expected disagreement, from the
    coincidences of answers to one unit. 1 is agreement, 0 what chance gives, below 0 systematic disagreement.

    Args:
        answers_RU: number of each rater for each unit, NaN where there is none; units with fewer than two answers
            are left out.
        scale: how far apart two different answers are.

    Returns:
        The interval of alpha, `cases` being the units with two or more answers. NaN without such units, and where
        everyone always gave the same one answer, so that chance would do as well.
    """
    answers = np.asarray(answers_RU, dtype=np.float64)
    answers = answers[:, (~np.isnan(answers)).sum(axis=0) >= 2]
    units = answers.shape[1]
    if units == 0:
        return Interval(np.nan, np.nan, np.nan, 0, method="none", reason="no case was judged by two people")
    values = np.unique(answers[~np.isnan(answers)])
    coincidences_UVV = _coincidences(answers, values)
    alpha = float(_alpha(coincidences_UVV.sum(axis=0)[None], values, scale)[0])
    if not np.isfinite(alpha):
        return Interval(np.nan, np.nan, np.nan, units, method="none", reason="all answers are the same")
    if units < MIN_CASES:
        return Interval(alpha, np.nan, np.nan, units, method="none", reason=without_interval(units))
    found = _alpha(np.tensordot(_weights(units), coincidences_UVV, axes=1), values, scale)
    return _percentile(alpha, found, units)


def _coincidences(answers_RU: FloatArray, values: FloatArray) -> FloatArray:
    """Return how often each pair of answers met in each unit, (U, V, V); a unit of m answers weighs 1 / (m - 1)."""
    counts_UV = np.stack([(answers_RU == value).sum(axis=0) for value in values], axis=1).astype(np.float64)
    pairs = counts_UV[:, :, None] * counts_UV[:, None, :]
    index = np.arange(len(values))
    pairs[:, index, index] -= counts_UV
    return np.asarray(pairs / (counts_UV.sum(axis=1) - 1)[:, None, None])


def _alpha(coincidences_BVV: FloatArray, values: FloatArray, scale: Scale) -> FloatArray:
    """Return alpha for each matrix of coincidences; NaN where only one answer occurs."""
    totals = coincidences_BVV.sum(axis=2)
    whole = totals.sum(axis=1)
    apart = _apart(totals, values, scale)
    observed = (coincidences_BVV * apart).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * apart).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - (whole - 1) * observed / expected)


def _apart(totals_BV: FloatArray, values: FloatArray, scale: Scale) -> FloatArray:
    """Return the squared distance of every two answers, (B or 1, V, V)."""
    if scale == "nominal":
        return (values[:, None] != values).astype(np.float64)[None]
    if scale == "interval":
        return np.asarray((values[:, None] - values) ** 2)[None]
    reach = np.cumsum(totals_BV, axis=1) - totals_BV / 2  # the rank in the middle of each answer
    return np.asarray((reach[:, :, None] - reach[:, None, :]) ** 2)


def rank_correlation(x_C: npt.ArrayLike, y_C: npt.ArrayLike) -> Interval:
    """Return Spearman's rank correlation of two numbers per case with its percentile bootstrap interval over cases.

    Args:
        x_C, y_C: one number per case, any unit; cases where either is NaN are left out. Ties get their mean rank.

    Returns:
        The interval of the correlation in -1..1; NaN below three cases or where one side is constant.
    """
    x, y = np.asarray(x_C, dtype=np.float64), np.asarray(y_C, dtype=np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    count = len(x)
    if count < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        why = without_interval(count) or "no case has both"
        reason = why if count < 3 else "one side is the same in all cases"
        return Interval(np.nan, np.nan, np.nan, count, method="none", reason=reason)
    seen = float(_spearman(x[None], y[None])[0])
    if count < MIN_CASES:
        return Interval(seen, np.nan, np.nan, count, method="none", reason=without_interval(count))
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(0, count, (DRAWS, count))
    return _percentile(seen, _spearman(x[draws], y[draws]), count)


def _spearman(x_BC: FloatArray, y_BC: FloatArray) -> FloatArray:
    from scipy.stats import rankdata  # half a second, only where it is needed

    ranks = [rankdata(side, axis=1) for side in (x_BC, y_BC)]
    a, b = (side - side.mean(axis=1, keepdims=True) for side in ranks)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))


def _weights(count: int) -> FloatArray:
    """Return how often each of `count` units is drawn in each resample, (B, count)."""
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(0, count, (DRAWS, count))
    weights = np.zeros((DRAWS, count))
    np.add.at(weights, (np.arange(DRAWS)[:, None], draws), 1.0)
    return weights


def _percentile(seen: float, found_B: FloatArray, count: int) -> Interval:
    """Return the percentile interval; resamples without a value, in which all is equal, are left out."""
    finite = found_B[np.isfinite(found_B)]
    low, high = np.percentile(finite, [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2])
    return Interval(seen, float(low), float(high), count, method="percentile")
