"""Every reading of the trajectory error against reference values made with explicit loops."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toraeval.metrics.shared.readings import READINGS, Reading, measure
from toraeval.types import UserError

DATA = Path(__file__).parents[1] / "data" / "metrics"
GOLDEN = json.loads((DATA / "trajerror_golden.json").read_text())["cases"]
NAMES = sorted(set(READINGS) - {"traj_error_v1"})


@pytest.fixture(scope="module")
def arrays():
    with np.load(DATA / "trajerror_golden.npz") as stored:
        return {name: stored[name].swapaxes(0, 1) for name in stored}


def _measure(reading, arrays, case):
    parts = [arrays[f"{case}__{part}"] for part in ("gt", "pred", "gt_visible", "pred_visible")]
    return measure(reading, *parts, tuple(GOLDEN[case]["size"]))


def _assert_equal(got, expected):
    known = {name: np.nan if value is None else value for name, value in expected.items()}
    assert got == pytest.approx(known, rel=0, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("case", GOLDEN)
def test_values_equal_reference(arrays, case):
    got = {name: _measure(READINGS[name], arrays, case).value for name in NAMES}
    _assert_equal(got, GOLDEN[case]["values"])


@pytest.mark.parametrize("case", [case for case in GOLDEN if GOLDEN[case]["values_256"]])
def test_values_on_the_256_canvas_equal_reference(arrays, case):
    got = {name: _measure(replace(READINGS[name], canvas=256), arrays, case).value for name in NAMES}
    _assert_equal(got, GOLDEN[case]["values_256"])


@pytest.mark.parametrize("case", GOLDEN)
def test_curves_equal_reference(arrays, case):
    assert GOLDEN[case]["curves"]
    for name, expected in GOLDEN[case]["curves"].items():
        got = _measure(READINGS[name], arrays, case).curve_T
        np.testing.assert_allclose(got, np.array(expected, dtype=float), rtol=0, atol=1e-9)


def test_every_reference_definition_is_covered():
    assert set(NAMES) == {name for case in GOLDEN.values() for name in case["values"]}


def test_readings_of_equal_tracks_differ_by_the_known_factors(arrays):
    case = "T16_N4_512x512"
    value = {name: _measure(READINGS[name], arrays, case).value for name in NAMES}
    assert value["l1_sum_xy__all_frames"] == pytest.approx(2 * value["l1_mean_xy__all_frames"])
    assert value["l1_sum_xy__all_frames"] == pytest.approx(15 / 16 * value["l1_sum_xy__skip_frame0"])


def test_survival_ends_at_the_first_failure():
    target = np.zeros((1, 4, 2))
    tracked = target.copy()
    tracked[0, 1, 0] = 20.0
    seen = np.ones((1, 4), dtype=bool)
    got = measure(READINGS["survival_16px"], target, tracked, seen, seen, (64, 64)).value
    assert got == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"distance": "l3"}, "distance must be one of l1, l1_half"),
        ({"visible": "all"}, "visible must be one of any"),
        ({"pooling": "median"}, "pooling must be one of points"),
        ({"pooling": "survival"}, "threshold"),
        ({"threshold": 3.0}, "threshold"),
    ],
)
def test_impossible_readings_are_refused(fields, words):
    with pytest.raises(UserError, match=words):
        Reading(**fields)
