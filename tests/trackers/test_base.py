"""The check of the points that any tracker is asked to follow."""

from __future__ import annotations

import numpy as np
import pytest

from toraeval.trackers import check_queries
from toraeval.types import UserError, Video

VIDEO = Video(np.zeros((2, 3, 10, 20), np.uint8), 8.0)


def test_points_up_to_the_outer_pixel_edges_are_accepted() -> None:
    queries = check_queries(VIDEO, [[-0.5, -0.5], [19.5, 9.5], [3, 4]])
    assert queries.dtype == np.float64
    np.testing.assert_array_equal(queries[2], [3.0, 4.0])


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([1.0, 2.0], r"must be an array \(N, 2\) of \(x, y\) with N >= 1, got \(2,\)"),
        (np.zeros((0, 2)), r"got \(0, 2\)"),
        (np.zeros((1, 3)), r"got \(1, 3\)"),
        ([[0.0, 0.0], [np.nan, 1.0]], r"query 1 is \[nan, 1\.0\]; coordinates must be finite"),
        ([[0.0, 0.0], [9.0, 15.0]], r"query 1 at \[9\.0, 15\.0\] lies outside the 20x10 frame"),
        ([[-0.6, 0.0]], r"query 0 at \[-0\.6, 0\.0\] lies outside"),
    ],
)
def test_bad_points_are_named(queries: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_queries(VIDEO, queries)  # type: ignore[arg-type]
