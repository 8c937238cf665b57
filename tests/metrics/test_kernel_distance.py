"""Kernel distance: reference values, blocks, errors."""

import json

import numpy as np
import pytest

from toraeval.metrics.shared import set_distances as module
from toraeval.metrics.shared.set_distances import kernel_distance
from toraeval.types import UserError


def test_reference_values(data_dir):
    cases = json.loads((data_dir / "metrics" / "frechet_golden.json").read_text())["cases"]
    with np.load(data_dir / "metrics" / "frechet_golden.npz") as stored:
        for name, case in cases.items():
            if case["kernel"] is not None:
                x = stored[f"{name}__x"].astype(np.float64)
                y = stored[f"{name}__y"].astype(np.float64) if f"{name}__y" in stored else x
                assert kernel_distance(x, y) == pytest.approx(case["kernel"], rel=1e-6, abs=1e-9)


def test_blocks_do_not_change_the_value(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(23, 4)), rng.normal(0.3, 1, (31, 4))
    whole = kernel_distance(x, y)
    monkeypatch.setattr(module, "BLOCK", 5)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_no_bias_in_small_sets():
    rng = np.random.default_rng(0)
    values = [kernel_distance(rng.normal(size=(4, 3)), rng.normal(size=(4, 3))) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20


def test_wrong_sets_are_refused():
    with pytest.raises(UserError, match="needs 2"):
        kernel_distance(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(UserError, match="expected"):
        kernel_distance(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(UserError, match="not finite"):
        kernel_distance(np.full((4, 3), np.inf), np.ones((4, 3)))
