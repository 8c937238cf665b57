"""Features of the generated and the reference samples of a set, and the metrics that are a distance between both.

Legend of the shape suffixes: N samples, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toraeval.metrics.shared.base import BACKBONE, Found, SetMetric
from toraeval.metrics.shared.reference import FrameMetric
from toraeval.metrics.shared.set_distances import Moments, bootstrap_interval, frechet_distance
from toraeval.stats import MIN_CASES
from toraeval.types import FloatArray, Score, counted

WHOLE = slice(None)


@dataclass(frozen=True)
class FeatureSets:
    """Both sets; several seeds of one case share its reference, which then counts once.

    Attributes:
        generated, reference: features (N, D) of each case, in the same order.
        moments: of all of the generated and all of the reference features.
    """

    generated: list[FloatArray]
    reference: list[FloatArray]
    moments: tuple[Moments, Moments]

    @property
    def samples(self) -> int:
        """The smaller number of samples of both sets."""
        return min(m.count for m in self.moments)


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
    return FeatureSets(pieces, list(reference.values()), moments)


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

    def divide(self, parts: Mapping[str, slice], meant: Mapping[str, str]) -> None:
        """Give every part of the vector columns of its own; the counts stay those of the set.

        Args:
            parts: as `parts`.
            meant: what is added to the meaning of the distance, by the same suffixes.
        """
        counts = (f"{BACKBONE}_videos", f"{BACKBONE}_{self.counted}")
        stated, main = type(self).columns, f"{self.name}_{BACKBONE}"
        self.parts, self.main = parts, tuple(main + suffix for suffix in parts)
        self.columns = {
            column.replace(BACKBONE, BACKBONE + suffix): words + meant[suffix] * (column == main)
            for suffix in parts
            for column, words in stated.items()
            if not column.endswith(counts)
        } | {column: words for column, words in stated.items() if column.endswith(counts)}

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
                return f"{counted(videos, 'video')} with features; {who} needs {self.min_videos}"
            if sets.samples < 2:
                return self.too_few
            values |= self.distances(suffix, sets)
            samples = sets.moments[0].count
        return values | {f"{column}_videos": float(videos), f"{column}_{self.counted}": float(samples)}, {}

    def distances(self, suffix: str, sets: FeatureSets) -> dict[str, float]:
        """Return the distance of one part of the features with a 95 % interval over cases, where there are enough."""
        column = f"{self.name}_{self.backbone}{suffix}"
        low = high = math.nan
        if self.resamples > 1 and len(sets.generated) >= MIN_CASES:
            low, high = bootstrap_interval(sets.generated, sets.reference, self.resamples)
        return {column: frechet_distance(*sets.moments), f"{column}_low": low, f"{column}_high": high}
