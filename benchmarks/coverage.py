"""How often the 95 % intervals of `toraeval.stats` contain the true value, by number of cases.

    python -m benchmarks.coverage              # 2000 draws of each size, about two minutes on one core
    python -m benchmarks.coverage --draws 200

Values of cases are drawn from laws whose mean is known, as errors of models look: none is negative, most are small, a
few large. The fewest cases that get an interval (`MIN_CASES`) rest on these figures; docs/metrics.md quotes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.machine import parser_of
from toraeval.stats import intervals
from toraeval.types import FloatArray

CASE_COUNTS = (3, 5, 8, 10, 16, 30, 64)
RESAMPLES = 1999
LAWS: Mapping[str, tuple[Callable[[np.random.Generator, int], FloatArray], float]] = {
    "normal": (lambda rng, n: rng.normal(10.0, 3.0, n), 10.0),
    "gamma, shape 2": (lambda rng, n: rng.gamma(2.0, 5.0, n), 10.0),
    "exponential": (lambda rng, n: rng.exponential(10.0, n), 10.0),
}


def coverage(law: str, cases: int, draws: int, seed: int = 0) -> float:
    """Return the share of draws whose interval contains the true mean, 0 to 1.

    Args:
        law: one of `LAWS`.
        cases: values per draw, also fewer than those that get an interval in a table.
        draws: number of intervals.
        seed: of the draws.
    """
    sample, truth = LAWS[law]
    rng, held = np.random.default_rng([seed, cases]), 0
    for _ in range(draws):
        values_C1 = sample(rng, cases)[:, None]
        found = intervals.resampled(values_C1, lambda means_RK: means_RK[:, 0], 0.95, RESAMPLES)
        held += found.low <= truth <= found.high
    return held / draws


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="intervals per law and size")
    draws = parser.parse_args().draws
    print("| cases | " + " | ".join(LAWS) + " | mean |\n" + "|---" * (len(LAWS) + 2) + "|")
    for cases in CASE_COUNTS:
        found = [coverage(law, cases, draws) for law in LAWS]
        cells = [f"{share:.0%}" for share in (*found, float(np.mean(found)))]
        print(f"| {cases} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
