"""Videos that are wrong in a known way, and whether metrics order them as they must.

Every metric states in `expected` which of its columns must order which videos: chains of conditions, each value smaller
(`<`) or not larger (`<=`) than the next one's. They are checked on `results/sanity.csv` and in tests.

The conditions are made by `benchmarks/sanity.py` from the ground truth of a suite:

- `ground_truth`: the exact render
- `shift_2`, `shift_8`, `shift_32`: every frame after the first moved sideways by this number of pixels of 512
- `lag_1`, `lag_4`: the video runs this number of frames late
- `shuffled`: the frames after the first in random order
- `frozen`: the first frame repeated
- `blurred`, `noise`: every frame after the first
- `smeared`: each frame mixed with all frames before it, so that objects drag a trail
- `vanished`: the objects fade into the background by the middle of the clip
- `other_case`: the video of another case
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from toraeval import registry
from toraeval.metrics.shared.base import BACKBONE, Metric

CONDITIONS = (
    "ground_truth", "shift_2", "shift_8", "shift_32", "lag_1", "lag_4", "shuffled", "frozen", "blurred", "noise",
    "smeared", "vanished", "other_case",
)  # fmt: skip

TOLERANCE = 1e-9


def above(*spoilt: str) -> tuple[str, ...]:
    """Return that the ground truth has a smaller value than each of these conditions, or chains of them."""
    return tuple(f"ground_truth < {condition}" for condition in spoilt)


def below(*spoilt: str) -> tuple[str, ...]:
    """Return that the ground truth has a larger value than each of these conditions."""
    return tuple(f"{condition} < ground_truth" for condition in spoilt)


ERROR = above("shift_2 < shift_8 < shift_32", "lag_1 < lag_4 < frozen", "shuffled", "vanished", "other_case")
OVERLAP = below("shift_32 < shift_8 < shift_2", "lag_4 < lag_1", "frozen", "shuffled", "other_case")
CLOSE = (*OVERLAP, *below("blurred", "noise", "smeared", "vanished"))
APART = tuple(" < ".join(reversed(chain.split(" < "))) for chain in CLOSE)
PHOTO_FRAMES = above("blurred", "noise", "frozen")


@cache
def orders() -> dict[str, tuple[str, ...]]:
    """Return column -> what is expected of it, of every registered metric and each of its networks."""
    found: dict[str, tuple[str, ...]] = {}
    for name in registry.names("metric"):
        metric = registry.load("metric", name)
        if not issubclass(metric, Metric):
            continue
        for column, chains in metric.expected.items():
            found |= {column.replace(BACKBONE, net): chains for net in metric.backbones or ("",)}
    return found


@dataclass(frozen=True)
class Finding:
    """One neighbouring pair of a chain, checked.

    Attributes:
        column: the value that is compared.
        claim: e.g. `ground_truth < frozen`.
        holds: whether the means follow it; None where one of them is missing.
        seen: the two means, None where missing.
    """

    column: str
    claim: str
    holds: bool | None
    seen: tuple[float | None, float | None]


def check(column: str, means: Mapping[str, float]) -> list[Finding]:
    """Compare the means of a column under the conditions with what is expected of it.

    Args:
        column: name of a value, e.g. `traj_error`.
        means: condition -> mean over cases; conditions without a value are absent.
    """
    findings = []
    for chain in orders().get(column, ()):
        parts = re.split(r" (<=?) ", chain)
        for low, sign, high in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            a, b = means.get(low), means.get(high)
            holds = None
            if a is not None and b is not None:
                holds = a < b if sign == "<" else a <= b + TOLERANCE
            findings.append(Finding(column, f"{low} {sign} {high}", holds, (a, b)))
    return findings
