"""Two sets of results compared case by case: difference, effect size, permutation test, many tests at once.

Shape legend: C cases, R permutations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toraeval.stats.intervals import (
    BOOTSTRAP_SEED,
    LEVEL,
    ROUNDING,
    CaseValues,
    Interval,
    bootstrap_mean,
    case_means,
)
from toraeval.stats.power import Sensitivity, paired_sensitivity
from toraeval.types import FloatArray, UserError

EXACT_CASES = 16
"""Up to this many cases every sign pattern is counted: 65536 of them."""

PERMUTATIONS = 99_999


@dataclass(frozen=True)
class PairedDifference:
    """How much a differs from b on the cases that both have.

    Attributes:
        difference: interval of the mean of a - b over shared cases.
        effect: mean difference divided by its standard deviation over cases (Cohen's d_z, ddof 1), NaN when the
            differences are all the same up to rounding.
        p: two-sided p value of `sign_flip_test`, NaN with fewer than two cases.
        a_lower, b_lower, ties: number of shared cases on which a, b or neither is lower.
        only_a, only_b: case ids that the other side lacks; left out of everything above.
        sensitivity: the smallest difference that these cases could have shown, and how many cases the one seen needs.
    """

    difference: Interval
    effect: float
    p: float
    a_lower: int
    b_lower: int
    ties: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    sensitivity: Sensitivity


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
    numbers = _differences(
        *(np.array([means[case_id] for case_id in shared]) for means in (means_a, means_b))
    )
    constant = np.ptp(numbers) == 0
    return PairedDifference(
        difference=bootstrap_mean(dict(zip(shared, numbers.tolist(), strict=True)), level),
        effect=float("nan") if constant else float(numbers.mean() / numbers.std(ddof=1)),
        p=sign_flip_test(numbers),
        a_lower=int((numbers < 0).sum()),
        b_lower=int((numbers > 0).sum()),
        ties=int((numbers == 0).sum()),
        only_a=tuple(case_id for case_id in means_a if case_id not in means_b),
        only_b=tuple(case_id for case_id in means_b if case_id not in means_a),
        sensitivity=paired_sensitivity(numbers),
    )


def ratio_sensitivity(a: CaseValues, b: CaseValues) -> Sensitivity:
    """Return the smallest distance of mean(a) / mean(b) from 1 that the shared cases could have shown.

    From the paired differences a - b, whose mean is 0 where the ratio is 1.

    Args:
        a, b: case id -> value or values per seed.
    """
    means_a, means_b = case_means(a), case_means(b)
    shared = [case_id for case_id in means_a if case_id in means_b]
    ours, theirs = (np.array([means[case_id] for case_id in shared]) for means in (means_a, means_b))
    if not shared or theirs.mean() == 0:
        return Sensitivity(float("nan"), float("nan"))
    found = paired_sensitivity(_differences(ours, theirs))
    return found._replace(detectable=float(found.detectable / abs(theirs.mean())))


def _differences(a_C: FloatArray, b_C: FloatArray) -> FloatArray:
    """Return a - b; what is 0, or the same in all cases, up to the rounding of a and b becomes exactly so."""
    numbers = a_C - b_C
    numbers[np.abs(numbers) <= ROUNDING * np.maximum(np.abs(a_C), np.abs(b_C))] = 0.0
    if np.ptp(numbers) <= ROUNDING * max(np.abs(a_C).max(), np.abs(b_C).max()):
        numbers[:] = numbers[0]
    return numbers


def sign_flip_test(differences_C: FloatArray) -> float:
    """Return the two-sided p value of a mean difference of pairs: were the two sides exchangeable in every case?

    Share of all ways to swap the sides of cases whose mean differs from 0 at least as much as the one seen
    (Fisher's randomisation test). Exact up to `EXACT_CASES` cases; above, `PERMUTATIONS` seeded draws with the
    one seen counted in, so that p is never 0 (Phipson and Smyth 2010).

    Args:
        differences_C: one number per case, any unit; NaN is a case without a value and left out.

    Returns:
        p in (0, 1], NaN with fewer than two cases.

    Raises:
        UserError: a difference is infinite.
    """
    numbers = np.sort(np.asarray(differences_C, dtype=np.float64))
    numbers = numbers[~np.isnan(numbers)]
    if np.isinf(numbers).any():
        raise UserError("statistics: a difference is infinite; remove or rescore that case")
    count = len(numbers)
    if count < 2:
        return float("nan")
    if count <= EXACT_CASES:
        patterns = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return float(_as_extreme(numbers, patterns).mean())
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    extreme, left = 0, PERMUTATIONS
    while left:  # in parts, so that thousands of cases fit into memory
        rows = min(left, max(1, 4_000_000 // count))
        extreme += int(_as_extreme(numbers, rng.integers(0, 2, (rows, count), dtype=np.int8)).sum())
        left -= rows
    return (1 + extreme) / (1 + PERMUTATIONS)


def _as_extreme(numbers_C: FloatArray, patterns_RC: np.ndarray) -> np.ndarray:
    """Return which sign patterns give a mean at least as far from 0 as the one seen, bool (R,)."""
    seen = abs(numbers_C.sum())
    sums_R = np.abs(numbers_C.sum() - 2.0 * (patterns_RC @ numbers_C))
    # equal sums that were added up in another order differ in their last bits
    extreme: np.ndarray = sums_R >= seen - ROUNDING * np.abs(numbers_C).sum()
    return extreme


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for being many (Holm 1979): below alpha only if the whole family's error is.

    Args:
        p_values: of one family of tests; NaN means that no test was made and stays NaN.
    """
    made = [i for i, p in enumerate(p_values) if not np.isnan(p)]
    adjusted = [float("nan")] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(made, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(made) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
