"""Kernel distance (KVD): squared maximum mean discrepancy with a cubic polynomial kernel, without bias in N.

    k(x, y) = (x . y / D + 1)^3
    kvd = mean of k over pairs of different x + the same for y - 2 * mean of k over pairs of x and y

All pairs are used; they are summed in blocks of 1024 rows to bound the memory, which does not change the definition.
Because no bias is left, the value of two samples of one distribution is 0 on average and often negative.

Source: KID, Binkowski et al., arXiv 1801.01401; KVD, Unterthiner et al., arXiv 1812.01717.

Legend of the shape suffixes: N samples, D features.
"""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.frechet import check_features
from toraeval.types import FloatArray, UserError

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
