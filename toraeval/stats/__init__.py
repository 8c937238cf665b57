"""Intervals, paired comparisons and tests over cases, independent of the order in which results arrive.

A case is the unit that is resampled: frames, objects and seeds of one case are not independent draws, so
that they are averaged inside the case first.
"""

from toraeval.stats.intervals import (
    BOOTSTRAP_SEED,
    LEVEL,
    MIN_CASES,
    RESAMPLES,
    CaseValues,
    Interval,
    bootstrap_band,
    bootstrap_mean,
    bootstrap_ratio,
    case_means,
    with_interval,
    without_interval,
)
from toraeval.stats.paired import (
    PairedDifference,
    holm,
    paired_difference,
    ratio_sensitivity,
    sign_flip_test,
)
from toraeval.stats.power import ALPHA, POWER, Sensitivity, interval_sensitivity

__all__ = [
    "ALPHA",
    "BOOTSTRAP_SEED",
    "LEVEL",
    "MIN_CASES",
    "POWER",
    "RESAMPLES",
    "CaseValues",
    "Interval",
    "PairedDifference",
    "Sensitivity",
    "bootstrap_band",
    "bootstrap_mean",
    "bootstrap_ratio",
    "case_means",
    "holm",
    "interval_sensitivity",
    "paired_difference",
    "ratio_sensitivity",
    "sign_flip_test",
    "with_interval",
    "without_interval",
]
