"""Features of the generated and the reference samples of a set, and the metrics that are a distance between both.

Legend of the shape suffixes: N samples, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toraeval.metrics.shared.base import Found, SetMetric
from toraeval.metrics.shared.reference import FrameMetric
from toraeval.metrics.shared.set_distances import (
    Moments,
    at_infinite_size,
    bootstrap_interval,
    frechet_distance,
    kernel_distance,
)
from toraeval.stats import MIN_CASES
from toraeval.types import FloatArray, Score

WHOLE = slice(None)


@dataclass(frozen=True)
class FeatureSets:
    """Both sets; several seeds of one case share its reference, which then counts once.

    Attributes:
        videos: generated videos.
        generated, reference: features (N, D) of each case, in the same order.
        moments: of all of the generated and all of the reference features.
    """

    videos: int
    generated: list[FloatArray]
    reference: list[FloatArray]
    moments: tuple[Moments, Moments]

    @property
    def samples(self) -> int:
        """The smaller number of samples of both sets."""
        return min(m.count for m in self.moments)

    def frechet(self) -> float:
        """Return the Frechet distance."""
        return frechet_distance(*self.moments)

    def kernel(self) -> float:
        """Return the kernel distance."""
        return kernel_distance(np.concatenate(self.generated), np.concatenate(self.reference))

    def interval(self, resamples: int) -> tuple[float, float] | None:
        """Return a 95 % interval of the Frechet distance over cases, None without draws or below `MIN_CASES` cases."""
        if resamples < 2 or len(self.generated) < MIN_CASES:
            return None
        return bootstrap_interval(self.generated, self.reference, resamples)

    def extrapolated(self) -> float | None:
        """Return the Frechet distance at infinite size, or None where there are too few samples."""
        return at_infinite_size(self.generated, self.reference)


def collect(contributions: Mapping[str, Mapping[str, FloatArray]], part: slice = WHOLE) -> FeatureSets | None:
    """Return the sets of what samples contributed, or None without any sample.

    Args:
        contributions: sample id -> arrays `features` and `reference_features`, float64 (N, D).
        part: which of the features.
    """
    generated: list[list[FloatArray]] = []
    reference: dict[bytes, FloatArray] = {}
    places: dict[bytes, int] = {}
    moments: tuple[Moments, Moments] | None = None
    for sample in sorted(contributions):
        arrays = contributions[sample]
        own, truth = (np.ascontiguousarray(arrays[k][:, part]) for k in ("features", "reference_features"))
        moments = moments or (Moments(own.shape[1]), Moments(truth.shape[1]))
        moments[0].add(own)
        key = truth.tobytes()
        if key not in places:
            places[key] = len(generated)
            generated.append([])
            reference[key] = truth
            moments[1].add(truth)
        generated[places[key]].append(own)
    if moments is None:
        return None
    pieces = [np.concatenate(own) for own in generated]
    return FeatureSets(len(contributions), pieces, list(reference.values()), moments)


class FeatureSetMetric(FrameMetric, SetMetric):
    """A Frechet distance between the features of generated and reference clips; `measure` gives those of one sample.

    Attributes:
        parts: of the vector, each with a value of its own, by what is appended to the column.
        counted: what a set consists of.
        too_few: why a set of less than two has no value.
    """

    needs_reference = True
    formula = "|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances with divisor N - 1"
    pooling = "one value for the set; never the mean of values of cases"
    parts: Mapping[str, slice] = {"": WHOLE}
    counted: str
    too_few: str
    min_videos: int
    resamples: int

    def pool(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Score:
        """Return distance, interval and counts of a set of samples; the order of the samples does not matter.

        Several seeds of one case share its reference, which then counts once; the interval draws whole cases.
        """
        return self.scored(self._pooled(contributions))

    def _pooled(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Found:
        column, videos = f"{self.name}_{self.backbone}", len(contributions)
        who = f"backbone {self.backbone}" if len(self.backbones) > 1 else self.name
        values: dict[str, float] = {}
        samples = 0
        for suffix, part in self.parts.items():
            sets = collect(contributions, part)
            if sets is None or videos < self.min_videos:
                return f"{videos} videos with features; {who} needs {self.min_videos}"
            if sets.samples < 2:
                return self.too_few
            values |= self.distances(suffix, sets)
            samples = sets.moments[0].count
        return values | {f"{column}_videos": float(videos), f"{column}_{self.counted}": float(samples)}, {}

    def distances(self, suffix: str, sets: FeatureSets) -> dict[str, float]:
        """Return the distance of one part of the features with its interval."""
        column = f"{self.name}_{self.backbone}{suffix}"
        low, high = sets.interval(self.resamples) or (math.nan, math.nan)
        return {column: sets.frechet(), f"{column}_low": low, f"{column}_high": high}
