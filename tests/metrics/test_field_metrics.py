"""Metrics of other benchmarks against numbers that their authors' code gave for the same arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.metrics.made_up import line, make_case, make_tracks
from toraeval.metrics.aj_rd import AJRD
from toraeval.metrics.mc_bench_dm import MCBenchDM, MCBenchDMPublished, block_distance, compared_points
from toraeval.metrics.shared.redetection import re_appearances, redetection
from toraeval.metrics.shared.set_distances import quadratic_discrepancy
from toraeval.types import UserError

PUBLISHED = {"aj_rd": 0.5513271689414978, 1: 0.5464447468519211, 4: 0.5562095910310745}


def test_redetection_is_that_of_the_published_function():
    # google-deepmind/tapnet@c2cbab8, aj_rd.py::compute_redetection_metrics on these arrays, computed in float32
    frames = np.arange(24)
    target = np.stack([[[20 + 3 * t, 40 + t] for t in frames], [[200 - 2 * t, 90] for t in frames]]).astype(
        float
    )
    visible = np.ones((2, 24), dtype=bool)
    visible[0, 3:5] = visible[0, 8:9] = visible[0, 12:17] = visible[1, 6:10] = False
    tracked = (
        target
        + np.stack([np.stack([frames % 5, frames % 3], -1), np.stack([frames % 7, 0 * frames], -1)]) * 0.9
    )
    claimed = visible.copy()
    claimed[:, ::6] ^= True
    found = redetection(target, visible, tracked, claimed)
    assert found["aj_rd"] == pytest.approx(PUBLISHED["aj_rd"], abs=1e-6)
    for least in (1, 4):
        assert found[f"aj_rd_hidden_{least}"] == pytest.approx(PUBLISHED[least], abs=1e-6)
    assert math.isnan(found["aj_rd_hidden_16"])


def test_only_longer_absences_count():
    seen = np.array([[True, False, True, False, True, False, False, True, True]])
    assert re_appearances(seen) == [(0, 2, 1), (0, 7, 2)]


def test_aj_rd_of_a_case_without_occlusion_is_a_skip():
    case = make_case(line(16))
    skipped = AJRD().score(case, make_tracks(case.trajectories.tracks_NT2)).skipped
    assert "hidden and seen again" in skipped


# HiDream-ai/MotionPro@347097c, `get_block_coordinates` and the distance below it, run on these drags
DRAGS = {
    "inside": ([[6, 8], [9, 13], [20, 20]], [[6, 8], [9, 13], [20, 20]]),
    "left border": ([[2, 100], [200, 50]], [[4, 100], [202, 50]]),
    "upper border": ([[3.7, 50.9], [70.2, 3.9], [60, 60]], [[4, 50], [72, 2], [62, 60]]),
    "corner": ([[0, 0], [200, 50], [100, 100], [50, 60]], [[198, 50], [98, 100], [48, 60]]),
}


@pytest.mark.parametrize("name", DRAGS)
def test_the_script_compares_other_points_at_the_border(name):
    starts, compared = DRAGS[name]
    assert compared_points(starts).tolist() == compared


def tracks_of_blocks(starts, target):
    """Tracks that stay where they are asked for, so that the distance says which point was compared."""
    queries = [
        (x, y)
        for a, b in np.asarray(starts).astype(int)
        for x in range(max(a - 4, 0), a + 4)
        for y in range(max(b - 4, 0), b + 4)
    ]
    return np.repeat(np.array(queries, float)[:, None], target.shape[1], axis=1)


def test_distance_with_and_without_the_border_error():
    starts = np.array([[2.0, 100], [200, 50]])
    target = np.repeat(starts[:, None], 16, axis=1)
    tracks = tracks_of_blocks(starts, target)
    assert block_distance(tracks, target, published=False) == 0
    assert block_distance(tracks, target) == pytest.approx(2)  # (4, 100) and (202, 50)
    corner = np.repeat(np.array(DRAGS["corner"][0], float)[:, None], 16, axis=1)
    with pytest.raises(UserError, match="3 compared points for 4 drags"):
        block_distance(tracks_of_blocks(corner[:, 0], corner), corner)
    with pytest.raises(UserError, match="have 112"):
        block_distance(tracks[1:], target)


def test_both_distances_agree_away_from_the_border_and_the_published_one_is_skipped_at_it():
    case = make_case(line(16))
    tracks = make_tracks(case.trajectories.tracks_NT2 + np.array([3.0, 4.0]))
    assert MCBenchDM().score(case, tracks).values["mc_bench_dm"] == pytest.approx(5)
    assert MCBenchDMPublished().score(case, tracks).values["mc_bench_dm_published"] == pytest.approx(5)
    near = line(16)
    near = near - near[:, :1] + np.array([2.0, 50.0])
    border = make_case(near)
    found = MCBenchDMPublished().score(border, make_tracks(border.trajectories.tracks_NT2))
    assert "(4, 50)" in found.skipped


def test_the_quadratic_discrepancy_is_that_of_jedi():
    # oooolga/JEDi, mmd_polynomial.py: mmd_poly(a, b, degree=2, coef0=0) prints 270.7, and the score is 100 times that
    a = np.arange(1.0, 10).reshape(3, 3)
    b = np.array([[7.0, 6, 5], [4, 3, 2], [1, 1, 8], [0, 2, 5]])
    assert quadratic_discrepancy(a, b) == pytest.approx(100 * 270.7, abs=5)
    assert quadratic_discrepancy(a, a) == pytest.approx(0)
    many = np.random.default_rng(0).normal(size=(2000, 3))
    kernel = (many @ many.T / 3) ** 2
    other = many + 1
    expected = 100 * (
        kernel.mean() + ((other @ other.T / 3) ** 2).mean() - 2 * ((many @ other.T / 3) ** 2).mean()
    )
    assert quadratic_discrepancy(many, other) == pytest.approx(expected)
