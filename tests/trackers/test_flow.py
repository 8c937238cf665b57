"""Lucas-Kanade with a forward-backward check."""

from __future__ import annotations

import cv2
import numpy as np

from toraeval.trackers.lucas_kanade import checked_flow, median_motion

RNG = np.random.default_rng(3)
PICTURE = cv2.GaussianBlur(RNG.integers(0, 256, (80, 100)).astype(np.float32), (0, 0), 2.0)
PICTURE = cv2.normalize(PICTURE, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
OPTIONS = {"window": 15, "levels": 2, "tolerance": 0.5}


def test_a_shift_is_measured() -> None:
    moved = np.roll(PICTURE, (2, -3), axis=(0, 1))
    points = np.array([[30, 30], [50, 40], [60, 50]], np.float32)
    moves, good = checked_flow(PICTURE, moved, points, **OPTIONS)
    assert good.all()
    np.testing.assert_allclose(moves, [[-3, 2]] * 3, atol=0.05)


def test_points_that_do_not_return_are_dropped() -> None:
    moved = PICTURE.copy()
    moved[20:45, 20:45] = RNG.integers(0, 256, (25, 25))  # something else covers the first point
    _, good = checked_flow(PICTURE, moved, np.array([[32, 32], [70, 60]], np.float32), **OPTIONS)
    assert good.tolist() == [False, True]


def test_no_points() -> None:
    moves, good = checked_flow(PICTURE, PICTURE, np.zeros((0, 2), np.float32), **OPTIONS)
    assert moves.shape == (0, 2)
    assert median_motion(moves, good, min_points=1, min_share=0.0) is None


def test_median_ignores_outliers_and_needs_enough_points() -> None:
    moves = np.array([[1, 1], [1, 1], [1, 1], [90, -90], [5, 5]], np.float32)
    good = np.array([True, True, True, True, False])
    np.testing.assert_array_equal(median_motion(moves, good, min_points=4, min_share=0.5), [1, 1])
    assert median_motion(moves, good, min_points=5, min_share=0.5) is None
    assert median_motion(moves, good, min_points=1, min_share=0.9) is None
