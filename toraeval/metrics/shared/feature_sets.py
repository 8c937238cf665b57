"""Features of the generated and the reference samples of a set, collected for a distance between both.

Legend of the shape suffixes: N samples, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toraeval.metrics.shared.frechet import Moments, at_infinite_size, bootstrap_interval, frechet_distance
from toraeval.metrics.shared.kernel_distance import kernel_distance
from toraeval.stats import MIN_CASES
from toraeval.types import FloatArray

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
