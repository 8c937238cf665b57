"""Losing an object never makes the error smaller."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.made_up import line, make_case, make_tracks
from toraeval.metrics.traj_error import LostError, TrajError

TARGET = line(8)


def values(tracked, seen=None):
    case, tracks = make_case(TARGET), make_tracks(tracked, seen)
    plain = TrajError().score(case, tracks, None).values["traj_error"]
    return LostError().score(case, tracks, None).values, plain


def test_it_is_traj_error_where_nothing_is_lost():
    found, plain = values(TARGET + np.array([3.0, -1.0]))
    assert found["lost_error"] == pytest.approx(plain) == pytest.approx(4.0)
    assert found["lost_error_seen"] == pytest.approx(4.0)
    assert found["lost_error_share"] == 0


def test_a_lost_point_beside_the_path_counts_like_standing_still():
    seen = np.ones(TARGET.shape[:2], bool)
    seen[:, 4:] = False
    found, plain = values(TARGET, seen)  # it keeps places on the path, as if by chance
    assert plain == 0
    still = np.abs(TARGET - TARGET[:, :1]).sum(-1)
    expected = np.where(seen, 0, still)[:, 1:].mean()
    assert found["lost_error"] == pytest.approx(expected)
    assert found["lost_error_seen"] == 0
    assert found["lost_error_share"] == pytest.approx(4 / 7)


def test_what_is_farther_off_than_standing_still_keeps_its_error():
    seen = np.zeros(TARGET.shape[:2], bool)
    seen[:, 0] = True
    found, plain = values(TARGET + np.array([500.0, 0.0]), seen)
    assert found["lost_error"] == pytest.approx(plain)
    assert "lost_error_seen" not in found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_losing_more_frames_is_never_better_and_never_below_traj_error(seed):
    rng = np.random.default_rng(seed)
    tracked = TARGET + rng.normal(0, 20, TARGET.shape)
    seen = rng.random(TARGET.shape[:2]) < 0.6
    fewer = seen & (rng.random(TARGET.shape[:2]) < 0.6)
    first, plain = values(tracked, seen)
    second, _ = values(tracked, fewer)
    assert plain - 1e-9 <= first["lost_error"] <= second["lost_error"] + 1e-9
