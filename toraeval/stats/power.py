"""What a paired comparison could have seen: the smallest difference, and the number of cases that a difference needs.

Both hold for one two-sided test at 5 % that finds a true difference in 80 % of repetitions. The power is that of the
paired t test (noncentral t, Cohen 1988); `sign_flip_test` has nearly the same, and no power at all below
`FEWEST_TESTED` cases, where even the most extreme outcome has p > 5 %.

Shape legend: C cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from toraeval.types import FloatArray

ALPHA = 0.05
POWER = 0.8

FEWEST_TESTED = 6
"""Fewer pairs have no sign-flip p value below 5 %: 2 / 2^5 is 6 %."""

LARGE = 1000
"""From this many cases on, the t distribution is the normal one to four digits."""


LARGEST = 8.0
"""Standard errors that any number of cases shows; far above, SciPy's noncentral t gives up."""


class Sensitivity(NamedTuple):
    """What a comparison could have seen.

    Attributes:
        detectable: smallest true difference, in the unit of the values, that is found with 80 % power at 5 %; NaN
            where no difference can be found.
        cases_needed: cases with which a true difference as large as the one seen is found with that power; NaN where
            the one seen is 0 or unknown.
    """

    detectable: float
    cases_needed: float

    def words(self, unit: str = "") -> str:
        """Return both as a clause, e.g. `with 80 % power they show 5.3 px, and 40 would show this difference`."""
        said = []
        if math.isfinite(self.detectable):
            said.append(f"with {100 * POWER:.0f} % power they show {f'{self.detectable:.2g} {unit}'.strip()}")
        if math.isfinite(self.cases_needed):
            said.append(f"{self.cases_needed:.0f} would show this difference")
        return ", and ".join(said)


def paired_sensitivity(differences_C: FloatArray) -> Sensitivity:
    """Return what a paired test of these differences could have seen.

    Args:
        differences_C: one number per case, any unit; NaN is a case without a value and left out.
    """
    numbers = np.asarray(differences_C, dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    if len(numbers) < 2:
        return Sensitivity(math.nan, math.nan)
    spread, mean = float(numbers.std(ddof=1)), abs(float(numbers.mean()))
    detectable = spread * smallest_effect(len(numbers)) if len(numbers) >= FEWEST_TESTED else math.nan
    if spread == 0:
        return Sensitivity(detectable, FEWEST_TESTED if mean else math.nan)
    return Sensitivity(detectable, cases_needed(mean / spread))


def interval_sensitivity(
    difference: float, first: Sequence[float], second: Sequence[float], cases: int
) -> Sensitivity:
    """Return what two values with 95 % intervals could have shown, as if both were independent and normal.

    For values of whole sets, which have no differences of cases. Values of the same cases vary together, so that the
    true numbers are smaller.

    Args:
        difference: between the two values.
        first, second: lower and upper bound of each, in the same unit.
        cases: of each set; errors are taken to shrink with the square root of it.
    """
    errors = [(high - low) / (2 * NormalDist().inv_cdf(1 - ALPHA / 2)) for low, high in (first, second)]
    detectable = _reach() * math.hypot(*errors)
    if not math.isfinite(detectable) or not difference:
        return Sensitivity(detectable, math.nan)
    return Sensitivity(detectable, float(max(2, math.ceil(cases * (detectable / difference) ** 2))))


def smallest_effect(cases: int) -> float:
    """Return the smallest mean of differences, in their standard deviations, that so many cases show."""
    from scipy.optimize import brentq

    if cases >= LARGE:
        return _reach() / math.sqrt(cases)
    return float(brentq(lambda effect: power(effect, cases) - POWER, 0.0, LARGEST / math.sqrt(cases)))


def cases_needed(effect: float) -> float:
    """Return how many cases show a mean of so many standard deviations, NaN for 0."""
    if not math.isfinite(effect) or effect <= 0:
        return math.nan
    count = max(FEWEST_TESTED, math.ceil((_reach() / effect) ** 2))
    while count < LARGE and power(effect, count) < POWER:
        count += 1
    return float(count)


def power(effect: float, cases: int) -> float:
    """Return how often a paired two-sided t test at 5 % finds a mean of so many standard deviations, with its sign."""
    from scipy import special

    freedom, shift = cases - 1, min(effect * math.sqrt(cases), LARGEST)
    return 1.0 - float(special.nctdtr(freedom, shift, special.stdtrit(freedom, 1 - ALPHA / 2)))


def _reach() -> float:
    """Return how many standard errors a true difference must measure, for many cases."""
    normal = NormalDist()
    return normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)
