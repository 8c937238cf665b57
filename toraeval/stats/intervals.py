"""Bootstrap intervals of means, ratios and curves over cases.

Shape legend: C cases, K columns, R resamples, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from toraeval.types import FloatArray, UserError

BOOTSTRAP_SEED = 20240731
"""Seed of every resampling: the same results always give the same interval."""

MIN_CASES = 8
"""Fewer cases get no interval: `benchmarks/coverage.py` measures how rarely a 95 % one would then contain the truth."""

ROUNDING = 1e-12
"""Share of the largest value below which differences are those of summing in another order."""

RESAMPLES = 9999
LEVEL = 0.95

CaseValues = Mapping[str, float | Sequence[float]]
"""Case id -> value, or -> one value per sampling seed."""


@dataclass(frozen=True)
class Interval:
    """A mean (or a ratio of means) over cases and how far it may be trusted.

    Attributes:
        mean: the number itself, NaN when there are no cases.
        low, high: bounds of the interval, NaN when there is none.
        cases: number of cases that entered.
        level: coverage the bounds aim at.
        method: `BCa`, `percentile`, `constant` or `none`.
        reason: why there is no interval or another than BCa, else None.
    """

    mean: float
    low: float
    high: float
    cases: int
    level: float = LEVEL
    method: str = "BCa"
    reason: str | None = None

    @property
    def known(self) -> bool:
        """True if there are bounds."""
        return bool(np.isfinite([self.low, self.high]).all())


def without_interval(cases: int) -> str:
    """Return what stands where an interval would, e.g. `n = 3`; nothing without cases or with enough of them."""
    return f"n = {cases}" if 0 < cases < MIN_CASES else ""


def with_interval(value: float, low: float, high: float, cases: int, form: str = ".4g") -> str:
    """Return a value with its interval, or with the number of cases where that is too small for one; nothing for NaN.

    Args:
        value, low, high: numbers; bounds are NaN where there is no interval.
        cases: that the value rests on.
        form: how numbers are written.
    """
    if np.isnan(value):
        return ""
    if np.isfinite([low, high]).all():
        return f"{value:{form}} [{low:{form}}, {high:{form}}]"
    few = without_interval(cases)
    return f"{value:{form}} ({few})" if few else f"{value:{form}}"


def case_means(values: CaseValues) -> dict[str, float]:
    """Return one finite number per case, sorted by case id; seeds are averaged, NaN means not scored.

    Raises:
        UserError: a value is infinite, which no mean can carry.
    """
    means: dict[str, float] = {}
    for case_id in sorted(values):
        numbers = np.sort(np.atleast_1d(np.asarray(values[case_id], dtype=np.float64)))
        if np.isinf(numbers).any():
            raise UserError(f"statistics: case {case_id} has an infinite value; remove or rescore it")
        numbers = numbers[~np.isnan(numbers)]
        if numbers.size:
            means[case_id] = float(numbers.mean())
    return means


def bootstrap_mean(values: CaseValues, level: float = LEVEL, resamples: int = RESAMPLES) -> Interval:
    """Return the mean over cases with its bootstrap interval, see `_resampled`.

    Args:
        values: case id -> value or values per seed; NaN values are left out.
        level: coverage, between 0 and 1.
        resamples: number of bootstrap samples.

    Raises:
        UserError: a value is infinite, or the level is not between 0 and 1.
    """
    numbers = np.array(list(case_means(values).values()), dtype=np.float64)
    return _resampled(numbers[:, None], lambda means_RK: means_RK[:, 0], level, resamples)


def bootstrap_ratio(
    a: CaseValues, b: CaseValues, level: float = LEVEL, resamples: int = RESAMPLES
) -> Interval:
    """Return mean(a) / mean(b) over the cases that both have, with its bootstrap interval.

    Whole cases are drawn, both sides together, so that hard cases do not widen the interval.

    Args:
        a, b: case id -> value or values per seed, positive for a ratio that means anything.
        level, resamples: as for `bootstrap_mean`.
    """
    means_a, means_b = case_means(a), case_means(b)
    shared = [case_id for case_id in means_a if case_id in means_b]
    pairs_C2 = np.array([(means_a[case_id], means_b[case_id]) for case_id in shared]).reshape(-1, 2)
    if len(pairs_C2) and pairs_C2[:, 1].mean() == 0:
        return Interval(np.nan, np.nan, np.nan, len(shared), level, "none", "the divisor is 0")
    return _resampled(pairs_C2, lambda means_R2: means_R2[:, 0] / means_R2[:, 1], level, resamples)


def _resampled(
    values_CK: FloatArray, statistic: Callable[[FloatArray], FloatArray], level: float, resamples: int
) -> Interval:
    """Return `resampled`, or why there is no interval: too few cases, or all of them equal up to rounding."""
    if not 0 < level < 1:
        raise UserError(f"statistics: level must lie between 0 and 1, but got {level}")
    count = len(values_CK)
    if count == 0:
        return Interval(np.nan, np.nan, np.nan, 0, level, "none", "no case has a value")
    apart_K = np.ptp(values_CK, axis=0)
    # the mean of equal numbers may differ from them in its last bit
    means_1K = values_CK.mean(axis=0)[None] if apart_K.any() else values_CK[:1]
    value = float(statistic(means_1K)[0])
    if count < MIN_CASES:
        reason = f"{without_interval(count)}, an interval needs {MIN_CASES} cases"
        return Interval(value, np.nan, np.nan, count, level, "none", reason)
    if (apart_K <= ROUNDING * np.abs(values_CK).max(axis=0)).all():
        return Interval(value, value, value, count, level, "constant", "all cases have the same value")
    return resampled(values_CK, statistic, level, resamples)


def resampled(
    values_CK: FloatArray, statistic: Callable[[FloatArray], FloatArray], level: float, resamples: int
) -> Interval:
    """Return a statistic of column means with its bias-corrected and accelerated interval.

    Efron 1987, J. Am. Stat. Assoc. 82(397); equal to `scipy.stats.bootstrap(method="BCa")` with the same draws.

    Args:
        values_CK: one row per case, at least two that differ.
        statistic: maps column means (R, K) to numbers (R,).
        level: coverage, between 0 and 1.
        resamples: number of draws of as many cases as there are.
    """
    count = len(values_CK)
    seen = float(statistic(values_CK.mean(axis=0)[None])[0])
    draws_RC = np.random.default_rng(BOOTSTRAP_SEED).integers(0, count, (resamples, count))
    with np.errstate(divide="ignore", invalid="ignore"):
        found_R = statistic(values_CK[draws_RC].mean(axis=1))
        without_C = statistic((values_CK.sum(axis=0) - values_CK) / (count - 1))
    if not np.isfinite(found_R).all():
        return Interval(seen, np.nan, np.nan, count, level, "none", "some resamples have no finite value")
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    shares = _bca_shares(found_R, seen, without_C, tails)
    method, reason = "BCa", None
    if shares is None:
        shares, method, reason = tails, "percentile", "BCa is undefined for these values"
    low, high = np.percentile(found_R, 100 * shares)
    return Interval(seen, float(low), float(high), count, level, method, reason)


def _bca_shares(
    found_R: FloatArray, seen: float, without_C: FloatArray, tails: FloatArray
) -> FloatArray | None:
    """Return which shares of the sorted resamples bound the interval, None where they are undefined."""
    # resamples that equal the value seen were added up in another order and differ from it in their last bits
    slack = ROUNDING * float(np.abs(found_R).max())
    below = float((found_R < seen - slack).mean() + (found_R <= seen + slack).mean()) / 2
    slope_C = without_C.mean() - without_C
    slope_C = slope_C / max(float(np.abs(slope_C).max()), np.finfo(np.float64).tiny)  # no unit can underflow
    spread = float((slope_C**2).sum())
    if not 0 < below < 1 or not np.isfinite(slope_C).all() or spread == 0:
        return None
    normal = NormalDist()
    bias, acceleration = normal.inv_cdf(below), float((slope_C**3).sum()) / (6 * spread**1.5)
    reach = bias + np.array([normal.inv_cdf(tail) for tail in tails])
    if (1 - acceleration * reach <= 0).any():
        return None
    return np.array([normal.cdf(bias + x / (1 - acceleration * x)) for x in reach])


def bootstrap_band(
    curves: Mapping[str, FloatArray], level: float = LEVEL, resamples: int = 2000
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean curve over cases with a pointwise percentile bootstrap band.

    Args:
        curves: case id -> float array (T,), NaN where the case has no value; all of one length.
        level: coverage of the band at each moment.
        resamples: number of bootstrap samples of whole cases.

    Returns:
        `(mean, low, high)`, each (T,); NaN where no case has a value, and a NaN band at moments at which fewer than
        `MIN_CASES` cases have one.

    Raises:
        UserError: there is no curve, or the lengths differ.
    """
    if not curves:
        raise UserError("statistics: a band needs at least one curve")
    lengths = {np.shape(curve) for curve in curves.values()}
    if len(lengths) != 1:
        raise UserError(f"statistics: curves of one length expected, got {sorted(lengths)}")
    stack_CT = np.stack([np.asarray(curves[case_id], dtype=np.float64) for case_id in sorted(curves)])
    present = np.isfinite(stack_CT)
    filled = np.where(present, stack_CT, 0.0)
    cases = len(stack_CT)
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(0, cases, size=(resamples, cases))
    weights_RC = np.zeros((resamples, cases))
    np.add.at(weights_RC, (np.arange(resamples)[:, None], draws), 1.0)
    mean = _ratio(filled.sum(axis=0), present.sum(axis=0).astype(np.float64))
    several = present.sum(axis=0) >= MIN_CASES
    if not several.any():
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    means_RT = _ratio(weights_RC @ filled, weights_RC @ present)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    tails = 100 * np.array([(1 - level) / 2, (1 + level) / 2])
    low[several], high[several] = np.nanpercentile(means_RT[:, several], tails, axis=0)
    return mean, low, high


def _ratio(total: FloatArray, count: FloatArray) -> FloatArray:
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
