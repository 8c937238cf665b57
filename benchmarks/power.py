"""How far the statement "these cases would have shown a difference of x" holds, by number of cases and law.

    python -m benchmarks.power              # 1000 experiments of each kind, about 20 seconds on one core
    python -m benchmarks.power --draws 200

Differences of cases are drawn from laws with a known spread around the smallest difference that `toraeval.stats` states
for it. Printed are the share of experiments whose sign-flip test then finds it, 80 % by the statement, and what an
experiment itself states, estimated from its own spread, divided by the true value; docs/cli.md quotes both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.machine import parser_of
from toraeval.stats import sign_flip_test
from toraeval.stats.power import paired_sensitivity, smallest_effect
from toraeval.types import FloatArray

CASE_COUNTS = (8, 12, 16)
LAWS: Mapping[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "Student t, 3 degrees": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "exponential, long tail away from 0": lambda rng, n: rng.exponential(size=n) - 1,
    "exponential, long tail towards 0": lambda rng, n: 1 - rng.exponential(size=n),
}
"""Laws of the differences around their mean: mean 0, standard deviation 1."""


def experiments(law: str, cases: int, draws: int, seed: int = 0) -> tuple[float, FloatArray]:
    """Return how often the stated difference is found, 0 to 1, and what each experiment states, over the truth.

    Args:
        law: one of `LAWS`.
        cases: differences per experiment.
        draws: number of experiments.
        seed: of the draws.
    """
    rng, true = np.random.default_rng([seed, cases]), smallest_effect(cases)
    drawn = [LAWS[law](rng, cases) + true for _ in range(draws)]
    found = [sign_flip_test(differences) <= 0.05 for differences in drawn]
    stated = [paired_sensitivity(differences).detectable / true for differences in drawn]
    return float(np.mean(found)), np.array(stated)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=int, default=1000, help="experiments per law and size")
    draws = parser.parse_args().draws
    print("| cases | law | found | stated / true: 10 % | median | 90 % |\n|---|---|---|---|---|---|")
    for cases in CASE_COUNTS:
        for law in LAWS:
            found, stated = experiments(law, cases, draws)
            cells = [f"{share:.2f}" for share in np.percentile(stated, (10, 50, 90))]
            print(f"| {cases} | {law} | {found:.0%} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
