"""Intervals and paired comparisons over cases, independent of the order in which results arrive.

A case is the unit that is resampled: frames, objects and seeds of one case are not independent draws, so
that they are averaged inside the case first.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toraeval.types import FloatArray, UserError

BOOTSTRAP_SEED = 20240731
"""Seed of every resampling: the same results always give the same interval."""

RESAMPLES = 9999
LEVEL = 0.95

CaseValues = Mapping[str, float | Sequence[float]]
"""Case id -> value, or -> one value per sampling seed."""


@dataclass(frozen=True)
class Interval:
    """A mean over cases and how far it may be trusted.

    Attributes:
        mean: mean over cases, NaN when there are none.
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


@dataclass(frozen=True)
class PairedDifference:
    """How much a differs from b on the cases that both have.

    Attributes:
        difference: interval of the mean of a - b over shared cases.
        effect: mean difference divided by its standard deviation over cases (ddof 1), NaN when undefined.
        a_lower, b_lower, ties: number of shared cases on which a, b or neither is lower.
        only_a, only_b: case ids that the other side lacks; left out of everything above.
    """

    difference: Interval
    effect: float
    a_lower: int
    b_lower: int
    ties: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


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
    """Return the mean over cases with its bootstrap interval.

    Bias-corrected and accelerated bootstrap (Efron 1987, `scipy.stats.bootstrap`), resampling whole cases.

    Args:
        values: case id -> value or values per seed; NaN values are left out.
        level: coverage, between 0 and 1.
        resamples: number of bootstrap samples.

    Raises:
        UserError: a value is infinite, or the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UserError(f"statistics: level must lie between 0 and 1, but got {level}")
    numbers = np.array(list(case_means(values).values()), dtype=np.float64)
    count = int(numbers.size)
    if count == 0:
        return Interval(np.nan, np.nan, np.nan, 0, level, "none", "no case has a value")
    mean = float(numbers.mean())
    if count == 1:
        return Interval(mean, np.nan, np.nan, 1, level, "none", "one case only: no spread to resample")
    if np.ptp(numbers) == 0:
        value = float(numbers[0])
        return Interval(value, value, value, count, level, "constant", "all cases have the same value")
    return _resampled(numbers, mean, level, resamples)


def _resampled(numbers: FloatArray, mean: float, level: float, resamples: int) -> Interval:
    from scipy.stats import bootstrap

    bounds: dict[str, tuple[float, float]] = {}
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = bootstrap(
                (numbers,),
                np.mean,
                confidence_level=level,
                n_resamples=resamples,
                method=method,
                rng=np.random.default_rng(BOOTSTRAP_SEED),
            )
        bounds[method] = float(result.confidence_interval.low), float(result.confidence_interval.high)
        if np.isfinite(bounds[method]).all():
            reason = None if method == "BCa" else "BCa is undefined for these values"
            return Interval(mean, *bounds[method], int(numbers.size), level, method, reason)
    return Interval(mean, np.nan, np.nan, int(numbers.size), level, "none", "no finite bound found")


def bootstrap_band(
    curves: Mapping[str, FloatArray], level: float = LEVEL, resamples: int = 2000
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean curve over cases with a pointwise percentile bootstrap band.

    Args:
        curves: case id -> float array (T,), NaN where the case has no value; all of one length.
        level: coverage of the band at each moment.
        resamples: number of bootstrap samples of whole cases.

    Returns:
        `(mean, low, high)`, each (T,); NaN where no case has a value, and a NaN band from a single case.

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
    if cases == 1:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    means_RT = _ratio(weights_RC @ filled, weights_RC @ present)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    several = present.sum(axis=0) > 1
    tails = 100 * np.array([(1 - level) / 2, (1 + level) / 2])
    low[several], high[several] = np.nanpercentile(means_RT[:, several], tails, axis=0)
    return mean, low, high


def _ratio(total: FloatArray, count: FloatArray) -> FloatArray:
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def paired_difference(a: CaseValues, b: CaseValues, level: float = LEVEL) -> PairedDifference:
    """Compare two sets of results case by case.

    Args:
        a, b: case id -> value or values per seed; only cases with a value on both sides enter.
        level: coverage of the interval.

    Raises:
        UserError: a value is infinite, or no case is shared.
    """
    means_a, means_b = case_means(a), case_means(b)
    shared = [case_id for case_id in means_a if case_id in means_b]
    if not shared:
        raise UserError(
            f"statistics: the two results share no scored case ({len(means_a)} and {len(means_b)} cases); "
            "compare runs of the same suite"
        )
    differences = {case_id: means_a[case_id] - means_b[case_id] for case_id in shared}
    numbers = np.array(list(differences.values()))
    spread = float(numbers.std(ddof=1)) if len(shared) > 1 else 0.0
    return PairedDifference(
        difference=bootstrap_mean(differences, level),
        effect=float(numbers.mean()) / spread if spread > 0 else float("nan"),
        a_lower=int((numbers < 0).sum()),
        b_lower=int((numbers > 0).sum()),
        ties=int((numbers == 0).sum()),
        only_a=tuple(case_id for case_id in means_a if case_id not in means_b),
        only_b=tuple(case_id for case_id in means_b if case_id not in means_a),
    )
