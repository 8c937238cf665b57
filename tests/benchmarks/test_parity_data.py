"""How recordings are compared: differences, tolerances, colours beside the jumps of their code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import parity
from benchmarks.parity_colours import jumps, level_difference, sum_allowance, sum_difference
from benchmarks.parity_data import Row, allowance, difference, sinusoid_floor

DATA = Path(__file__).parents[1] / "data"
RECORDINGS = [path for name in ("open_sora", "tora") for path in parity.find(DATA / name)]


def test_differences() -> None:
    nan = float("nan")
    assert difference(torch.tensor([nan, 1.0]), np.array([nan, 1.5])) == 0.5
    assert np.isnan(difference(torch.tensor([nan]), np.array([0.0])))
    assert not Row("x", nan, 1.0).ok
    assert difference(torch.zeros(2), torch.zeros(3)) == float("inf")


def test_colours_may_differ_only_where_the_code_jumps() -> None:
    flow = np.zeros((2, 40, 50, 2), np.float32)
    flow[..., 1] = 1.0
    flow[0, 0, 0] = (0.0, 2.0)  # the largest motion
    flow[1, 5, 5] = (1.0, 1e-9)  # to the right, its vertical part lost in rounding
    where = jumps(flow)
    colours = np.full((2, 40, 50, 3), 200, np.uint8)
    colours[0, 0, 0, 0] = 255
    other = colours.copy()
    other[0, 0, 0, 0] = 0
    other[1, 2, 3, 1] = 199
    other[1, 5, 5, 2] = 221  # half of the largest motion, half of the 43 levels
    assert level_difference(colours, other, where) == 1
    assert sum_difference(colours, other.sum((1, 2), dtype=np.int64), where) <= sum_allowance(colours)
    for place, value in (((1, 2, 3, 1), 195), ((1, 5, 5, 2), 240), ((1, 5, 5, 1), 221), ((0, 9, 9, 0), 0)):
        wrong = other.copy()
        wrong[place] = value
        assert level_difference(colours, wrong, where) > 1
    assert sum_difference(colours, (other - 1).sum((1, 2), dtype=np.int64), where) > sum_allowance(colours)
    assert level_difference(colours, colours[:1], where) == float("inf")


def test_tolerances_grow_with_the_values() -> None:
    assert allowance(np.array([0.0, -300.0, np.nan, np.inf])) == pytest.approx(1e-6 + 3e-3)
    assert sinusoid_floor(np.array([0.0, 1000.0])) == pytest.approx(1e-6 + 2.384e-4, rel=1e-3)
