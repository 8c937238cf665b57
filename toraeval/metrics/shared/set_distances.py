"""Frechet and kernel distance between two sets of feature vectors, in float64, and what sample sizes do to them.

For sets with means m and covariances S (divisor N - 1):

    d = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

With centred features A / sqrt(N - 1) whose product gives S, the last trace is the sum of the singular values of
A1 A2^T: no matrix square root, so singular covariances and fewer samples than features are exact, and the result is
real. A set is kept as count, mean and a triangular factor R with R^T R = A^T A, which grows by a QR decomposition.

The kernel distance (KVD) is the squared maximum mean discrepancy with a cubic polynomial kernel, without bias in N:

    k(x, y) = (x . y / D + 1)^3
    kvd = mean of k over pairs of different x + the same for y - 2 * mean of k over pairs of x and y

All pairs are used; they are summed in blocks of 1024 rows to bound the memory, which does not change the definition.
Because no bias is left, the value of two samples of one distribution is 0 on average and often negative.

Source: Dowson and Landau 1982; for images Heusel et al., arXiv 1706.08500; for videos Unterthiner et al.,
arXiv 1812.01717; bias in N: Chong and Forsyth, arXiv 1911.07023; KID: Binkowski et al., arXiv 1801.01401.

Legend of the shape suffixes: N samples, D features.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toraeval.types import FloatArray, UserError

SIZES = 6  # set sizes between half and all samples through which the line in 1/N is laid
TRACE_ROUNDING = 1e-13  # share of the traces that their difference may be off
DRAWS = 8  # random subsets of each size
WIDE = 256  # features from which on a Cholesky factor, where it is as exact, saves most of the time
LEAST_PIVOT = 1e-3


@dataclass
class Moments:
    """Mean and scatter of a set that is read piece by piece; memory depends on the number of features alone.

    Attributes:
        features: D, length of a vector.
        count: N, vectors seen.
        mean_D: their mean.
        factor_KD: R, at most D rows; R^T R is the sum of outer products of the centred vectors.
    """

    features: int
    count: int = 0

    def __post_init__(self) -> None:
        self.mean_D = np.zeros(self.features)
        self.factor_KD = np.zeros((0, self.features))

    def add(self, features_ND: FloatArray) -> Moments:
        """Take in further vectors and return itself.

        Raises:
            UserError: another length of vectors, or a number that is not finite.
        """
        new_ND = check_features(features_ND, self.features)
        if not len(new_ND):
            return self
        total = self.count + len(new_ND)
        centre_D = new_ND.mean(0)
        step_D = centre_D - self.mean_D
        # the shift between both means scatters as well
        bridge_1D = np.sqrt(self.count * len(new_ND) / total) * step_D[None]
        self.factor_KD = _compressed(np.concatenate([self.factor_KD, new_ND - centre_D, bridge_1D]))
        self.mean_D = self.mean_D + step_D * (len(new_ND) / total)
        self.count = total
        return self


def check_features(features_ND: FloatArray, features: int | None = None) -> FloatArray:
    """Return features as float64 (N, D).

    Raises:
        UserError: another shape, or a number that is not finite: one broken clip would spoil the whole distance.
    """
    found = np.asarray(features_ND, dtype=np.float64)
    if found.ndim != 2 or (features is not None and found.shape[1] != features):
        raise UserError(f"features: expected (samples, {features or 'features'}), got {found.shape}")
    if not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found))[0, 0])
        raise UserError(f"features: sample {row} holds a number that is not finite; leave that video out")
    return found


def _compressed(rows_KD: FloatArray) -> FloatArray:
    """Return at most D rows with the same scatter."""
    count, features = rows_KD.shape
    if count <= features:
        return rows_KD
    if features >= WIDE and count >= 2 * features:
        with contextlib.suppress(np.linalg.LinAlgError):
            factor = np.linalg.cholesky(rows_KD.T @ rows_KD).T
            # a scatter near to singular would lose the digits that QR keeps
            if np.diag(factor).min() > LEAST_PIVOT * np.diag(factor).max():
                return np.asarray(factor)
    return np.asarray(np.linalg.qr(rows_KD, mode="r"))


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the Frechet distance of two sets; lower is closer, 0 for equal ones, in squared units of the features.

    Raises:
        UserError: fewer than two samples in a set (a covariance needs two), or other features.
    """
    if first.features != second.features:
        raise UserError(f"frechet distance: {first.features} against {second.features} features")
    if min(first.count, second.count) < 2:
        raise UserError(
            f"frechet distance: {first.count} and {second.count} samples, a covariance needs 2 of each"
        )
    a_KD = first.factor_KD / np.sqrt(first.count - 1)
    b_KD = second.factor_KD / np.sqrt(second.count - 1)
    shared = np.linalg.svd(a_KD @ b_KD.T, compute_uv=False).sum()
    spread = float((a_KD**2).sum() + (b_KD**2).sum())
    traces = spread - 2 * float(shared)
    # equal covariances leave what the last bits of both traces differ by; a shift of the means is not
    traces = traces if traces > TRACE_ROUNDING * spread else 0.0
    return float(((first.mean_D - second.mean_D) ** 2).sum()) + traces


def distance_of_sets(first: Sequence[FloatArray], second: Sequence[FloatArray]) -> float:
    """Return the Frechet distance of two sets given in pieces (N, D), one per video."""
    whole = [check_features(np.concatenate(pieces)) for pieces in (first, second)]
    return frechet_distance(*(Moments(features.shape[1]).add(features) for features in whole))


def bootstrap_interval(
    first: Sequence[FloatArray], second: Sequence[FloatArray], resamples: int, seed: int = 0
) -> tuple[float, float]:
    """Return a 95 % interval of the Frechet distance.

    Pairs of pieces (a case's generated and reference features) are drawn with replacement. Repeated pieces make both
    covariances too small and the distance too large; the quantiles are therefore moved by the difference between
    the estimate and the mean of the resamples, and cut off at 0.

    Args:
        first, second: pieces (N, D), `first[k]` and `second[k]` of the same case.
        resamples: number of draws, >= 2.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    estimate = distance_of_sets(first, second)
    draws = rng.integers(len(first), size=(resamples, len(first)))
    values = _of_draws(first, second, draws)
    low, high = np.quantile(values, (0.025, 0.975)) - np.mean(values) + estimate
    return max(0.0, float(low)), max(0.0, float(high))


def _of_draws(
    first: Sequence[FloatArray], second: Sequence[FloatArray], draws: npt.NDArray[np.int64]
) -> list[float]:
    """Return the distance of each draw of pairs of pieces.

    Where there are fewer vectors than features, all draws share the products of the vectors, and a piece that is drawn
    k times is one of weight k: a tenth of the time of drawn sets, equal but for rounding.
    """
    a_ND, b_ND = (check_features(np.concatenate(pieces)) for pieces in (first, second))
    if max(len(a_ND), len(b_ND)) > a_ND.shape[1]:
        return [distance_of_sets([first[k] for k in draw], [second[k] for k in draw]) for draw in draws]
    if np.array_equal(a_ND, b_ND):
        return [0.0] * len(draws)
    middle_a, middle_b = a_ND.mean(0), b_ND.mean(0)
    apart_D = middle_a - middle_b
    a_ND, b_ND = a_ND - middle_a, b_ND - middle_b  # small numbers, so that little cancels below
    cross, squares_a, squares_b = a_ND @ b_ND.T, np.square(a_ND).sum(1), np.square(b_ND).sum(1)
    of_a, of_b = (np.repeat(np.arange(len(p)), [len(piece) for piece in p]) for p in (first, second))
    values = []
    for draw in draws:
        times = np.bincount(draw, minlength=len(first)).astype(np.float64)
        a, b = times[of_a], times[of_b]
        count_a, count_b = a.sum(), b.sum()
        mean_a, mean_b = a @ a_ND / count_a, b @ b_ND / count_b
        rows, columns = cross @ b / count_b, a @ cross / count_a
        centred = cross - rows[:, None] - columns + a @ rows / count_a
        drawn = (np.sqrt(a)[:, None] * centred * np.sqrt(b))[a > 0][:, b > 0]
        shared = np.linalg.svd(drawn, compute_uv=False).sum() / np.sqrt((count_a - 1) * (count_b - 1))
        spread = (a @ squares_a - count_a * (mean_a @ mean_a)) / (count_a - 1)
        spread += (b @ squares_b - count_b * (mean_b @ mean_b)) / (count_b - 1)
        values.append(float(np.square(apart_D + mean_a - mean_b).sum() + max(0.0, spread - 2 * shared)))
    return values


def at_infinite_size(
    first: Sequence[FloatArray], second: Sequence[FloatArray], seed: int = 0
) -> float | None:
    """Return the Frechet distance extrapolated to infinitely many videos, or None where there are too few.

    A straight line in 1/N is laid through mean distances of random subsets of half to all pairs of pieces. It holds
    only where every subset has more samples than features: below, the distance of a set to itself is not a line in 1/N.
    """
    pairs, features = len(first), first[0].shape[1]
    samples = min(sum(map(len, pieces)) for pieces in (first, second))
    sizes = sorted({round(size) for size in np.linspace(pairs / 2, pairs, SIZES)})
    if len(sizes) < 3 or samples / 2 <= features:
        return None
    rng = np.random.default_rng(seed)
    means = []
    for size in sizes:
        draws = [rng.permutation(pairs)[:size] for _ in range(DRAWS if size < pairs else 1)]
        values = [distance_of_sets([first[k] for k in d], [second[k] for k in d]) for d in draws]
        means.append(float(np.mean(values)))
    _, at_zero = np.polyfit(1 / np.array(sizes), means, 1)
    return float(at_zero)


BLOCK = 1024


def kernel_distance(first_ND: FloatArray, second_ND: FloatArray) -> float:
    """Return the kernel distance of two sets of feature vectors; lower is closer, may be negative, no unit.

    Raises:
        UserError: fewer than two samples in a set, other features, or a number that is not finite.
    """
    first = check_features(first_ND)
    second = check_features(second_ND, first.shape[1])
    if min(len(first), len(second)) < 2:
        raise UserError(f"kernel distance: {len(first)} and {len(second)} samples, it needs 2 of each")
    return _within(first) + _within(second) - 2 * _sum(first, second) / (len(first) * len(second))


def _within(features_ND: FloatArray) -> float:
    own = _kernel((features_ND**2).sum(1), features_ND.shape[1]).sum()
    return (_sum(features_ND, features_ND) - float(own)) / (len(features_ND) * (len(features_ND) - 1))


def _sum(first_ND: FloatArray, second_ND: FloatArray) -> float:
    rows = range(0, len(first_ND), BLOCK)
    return float(sum(_kernel(first_ND[k : k + BLOCK] @ second_ND.T, first_ND.shape[1]).sum() for k in rows))


def _kernel(products: FloatArray, features: int) -> FloatArray:
    return np.asarray((products / features + 1) ** 3)


def quadratic_discrepancy(first_ND: FloatArray, second_ND: FloatArray) -> float:
    """Return 100 times the squared mean discrepancy with the kernel (x . y / D)^2, pairs of equal samples included.

    Lower is closer, 0 for equal sets, never below 0, no unit. Source: JEDi, arXiv 2410.05203.

    Raises:
        UserError: a set without samples, other features, or a number that is not finite.
    """
    first = check_features(first_ND)
    second = check_features(second_ND, first.shape[1])

    def mean(a_ND: FloatArray, b_ND: FloatArray) -> float:
        rows = range(0, len(a_ND), BLOCK)
        total = sum(float(((a_ND[k : k + BLOCK] @ b_ND.T / a_ND.shape[1]) ** 2).sum()) for k in rows)
        return total / (len(a_ND) * len(b_ND))

    return 100 * (mean(first, first) + mean(second, second) - 2 * mean(first, second))
