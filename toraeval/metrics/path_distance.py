"""Path distance: is the path right, whenever it was travelled? Dynamic time warping and Frechet distance.

Shape legend: A, B points of two paths.
"""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import above
from toraeval.metrics.shared.paths import LOST, OBJECTS, PathMetric, Paths
from toraeval.metrics.shared.readings import mean_over
from toraeval.types import Case, FloatArray


class PathDistance(PathMetric):
    """Path distance: how far the tracked path is from the given one when time may be stretched.

    Points are matched in order, both paths from start to end. With the Euclidean distance d(i, j) between tracked
    point i and target point j of the scored frames of object n:

        path_distance         = mean over cases of mean over n of DTW(n) / (2 |S_n|)
        path_distance_frechet = mean over cases of mean over n of the discrete Frechet distance

    DTW is Sakoe and Chiba's symmetric sum, in which a diagonal step weighs 2 and the others 1, so that
    DTW / (2 |S_n|) is a mean distance; it never exceeds `objmc`. The Frechet distance is the largest distance that
    the best ordered matching cannot avoid. Lower is better; range 0 (same path) and more; pixels of the scored
    video. Scored frames as in `traj_error`. An object that follows the right path too early or too late scores
    well here and badly in `traj_error`; `path_distance_timing` is the difference, objmc - path_distance.
    A frozen video scores the mean distance of the path from its start.
    Source: Sakoe and Chiba 1978; Eiter and Mannila 1994.
    """

    name = "path_distance"
    version = "1"
    direction = "lower"
    units = "px"
    value_range = "0 and more"
    formula = "mean_case mean_object DTW / (2 frames), Euclidean, symmetric weights (diagonal 2, others 1)"
    pooling = OBJECTS
    lost_points = LOST
    columns = {
        "path_distance": "mean distance along the best matching in order (dynamic time warping)",
        "path_distance_frechet": "largest distance along the best matching in order (discrete Frechet)",
        "path_distance_timing": "what the matching in time adds: mean Euclidean distance - path_distance",
    }
    source = "Sakoe and Chiba 1978 (symmetric P=0); Eiter and Mannila 1994"
    expected = {
        "path_distance": (
            *above("shift_2 < shift_8 < shift_32", "lag_1 < lag_4 < shift_32"),
            "lag_4 < shuffled",
            "lag_4 < frozen",
            "ground_truth < other_case",
        ),
        "path_distance_timing": ("ground_truth < lag_1 < lag_4",),
    }

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `dtw_N`, `frechet_N`, pixels, NaN for an object without points."""
        objects = len(paths.counted_NT)
        dtw, frechet, plain = (np.full(objects, np.nan) for _ in range(3))
        for n, counted in enumerate(paths.counted_NT):
            if counted.any():
                tracked, target = paths.tracked_NT2[n, counted], paths.target_NT2[n, counted]
                dtw[n], frechet[n] = path_distances(tracked, target)
                plain[n] = np.linalg.norm(tracked - target, axis=-1).mean()
        values = {
            "path_distance": float(mean_over(dtw, axis=0)),
            "path_distance_frechet": float(mean_over(frechet, axis=0)),
            "path_distance_timing": float(mean_over(np.maximum(plain - dtw, 0.0), axis=0)),
        }
        return values, {"dtw_N": dtw, "frechet_N": frechet}


def path_distances(a_A2: FloatArray, b_B2: FloatArray) -> tuple[float, float]:
    """Return the normalised dynamic-time-warping and the discrete Frechet distance of two point sequences.

    Args:
        a_A2, b_B2: float `(x, y)`, at least one point each.

    Returns:
        Both in the unit of the points. Worked along anti-diagonals: A + B array steps instead of A x B cells, of which
        only three diagonals are held.
    """
    rows, columns = len(a_A2), len(b_B2)
    (a_x, a_y), (b_x, b_y) = a_A2.T.copy(), b_B2[::-1].T.copy()
    # the sum and the largest distance up to cell (i, j), at place i + 1 of diagonal i + j; it needs the two before it
    diagonals = np.full((3, 2, rows + 1), np.inf)
    diagonals[0, :, 0] = 0.0  # before the first cell
    for number in range(rows + columns - 1):
        two_before, before, now = (diagonals[(number + k) % 3] for k in range(3))
        first, end = max(0, number - columns + 1), min(rows, number + 1)
        i, own = slice(first, end), slice(first + 1, end + 1)
        j = slice(first + columns - 1 - number, end + columns - 1 - number)  # b lies in reverse
        d = np.sqrt((a_x[i] - b_x[j]) ** 2 + (a_y[i] - b_y[j]) ** 2)
        total, widest = np.minimum(before[:, i], before[:, own])
        now[:, 0] = np.inf
        now[0, own] = np.minimum(total + d, two_before[0, i] + 2 * d)
        now[1, own] = np.maximum(np.minimum(widest, two_before[1, i]), d)
    total, widest = now[:, rows]
    return float(total) / (rows + columns), float(widest)
