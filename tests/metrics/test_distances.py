"""Metrics that read distances between given and tracked path: answers known by construction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.made_up import SIZE, line, make_case, make_tracks
from toraeval.metrics.distances import EPE, FinalError, ObjMC, Survival
from toraeval.metrics.movement import DirectionError, SpeedError
from toraeval.metrics.path_distance import PathDistance, path_distances
from toraeval.metrics.shared.readings import READINGS, measure
from toraeval.metrics.shared.tapvid_scores import tapvid_metrics
from toraeval.metrics.tapvid import TapVid

W, H = SIZE


def score(metric, target, tracked, visible=None, seen=None):
    return metric.score(make_case(target, visible), make_tracks(tracked, seen), None)


def values(*args, **kwargs):
    found = score(*args, **kwargs)
    assert found.skipped is None
    return found.values


def test_objmc_is_euclidean_and_stands_beside_the_published_script():
    target = line()
    tracked = target + np.array([3.2, -4.0])
    tracked[:, 0] = target[:, 0]
    found = values(ObjMC(), target, tracked)
    assert found["objmc"] == pytest.approx(np.hypot(3.2, 4.0))
    assert found["objmc_all"] == pytest.approx(np.hypot(3.2, 4.0) * 15 / 16)
    assert found["objmc_256"] == pytest.approx(np.hypot(3.2 * 256 / W, 4.0 * 256 / H))
    by_hand = np.mean(
        [np.hypot(*(np.trunc(p) - np.trunc(g))) for p, g in zip(tracked[0], target[0], strict=True)]
    )
    assert found["objmc_draganything"] == pytest.approx(by_hand)


def test_epe_weighs_points_and_objmc_weighs_objects():
    target = np.repeat(np.array([[[50.0, 50.0]], [[90.0, 60.0]]]), 11, axis=1)
    visible = np.ones((2, 11), bool)
    visible[1, 3:] = False
    tracked = target.copy()
    tracked[0, :, 0] += 1.0
    tracked[1, :, 0] += 7.0
    assert values(EPE(), target, tracked, visible)["epe"] == pytest.approx((10 * 1 + 2 * 7) / 12)
    assert values(ObjMC(), target, tracked, visible)["objmc"] == pytest.approx(4.0)


def test_epe_on_the_size_of_movebench_and_with_the_query_frame():
    target = line()
    tracked = target + np.array([2.0, 0.0])
    found = values(EPE(), target, tracked)
    assert found["epe_832x480"] == pytest.approx(2.0 * 832 / W)
    assert found["epe_with_query"] == pytest.approx(2.0)
    tracked[:, 0] = target[:, 0]
    assert values(EPE(), target, tracked)["epe_with_query"] == pytest.approx(2.0 * 15 / 16)


def test_tapvid_equals_the_reference_function_on_the_raster():
    rng = np.random.default_rng(3)
    target = rng.uniform(20, 100, (3, 1, 2)) + np.cumsum(rng.normal(0, 1, (3, 12, 2)), axis=1)
    tracked = target + rng.normal(0, 3, target.shape)
    visible, seen = rng.random((3, 12)) > 0.2, rng.random((3, 12)) > 0.3
    visible[:, 0] = [True, True, False]
    scale = np.array([256 / W, 256 / H])
    expected = tapvid_metrics(np.zeros(2), (target * scale)[:2], visible[:2], (tracked * scale)[:2], seen[:2])
    found = values(TapVid(), target, tracked, visible, seen)
    assert found["tapvid"] == expected["aj"]
    assert found["tapvid_delta_avg"] == expected["delta_avg"]
    assert found["tapvid_oa"] == expected["oa"]
    assert found["tapvid_jaccard_4"] == expected["jaccard_4"]


def test_tapvid_thresholds_are_strict_and_lie_on_the_raster():
    size = (512, 512)
    target = np.full((1, 5, 2), 200.0)
    for shift, within in ((7.9, 1.0), (8.0, 0.0)):  # 4 px of 256 are 8 px of 512
        tracked = target + np.array([shift, 0.0])
        found = TapVid().score(make_case(target, size=size), make_tracks(tracked), None).values
        assert found["tapvid_within_4"] == within


def test_final_error_reads_the_last_visible_frame_only():
    target = line(8)
    visible = np.ones((1, 8), bool)
    visible[0, 6:] = False
    tracked = target.copy()
    tracked[0, 5] += [3.0, 4.0]
    tracked[0, 6:] += 50.0
    found = score(FinalError(), target, tracked, visible)
    assert found.values["final_error"] == pytest.approx(5.0)
    assert found.values["final_error_l1"] == pytest.approx(7.0)
    assert found.values["final_error_diagonal"] == pytest.approx(5.0 / np.hypot(W, H))
    assert found.arrays["final_frame_N"].tolist() == [5.0]


def test_survival_ends_where_the_track_first_leaves_even_if_it_returns():
    target = np.full((2, 11, 2), 60.0)
    tracked = target.copy()
    tracked[0, 6, 0] += 16.5 * W / 256
    found = score(Survival(), target, tracked)
    assert found.values["survival"] == pytest.approx((5 / 10 + 1) / 2)
    assert found.values["survival_50"] == 1.0
    assert found.values["survival_whole"] == 0.0
    assert np.nansum(found.arrays["alive_NT"], axis=1).tolist() == [5.0, 10.0]


def test_survival_is_the_reading_of_the_reference_values():
    rng = np.random.default_rng(5)
    target = np.full((4, 20, 2), 60.0)
    tracked = target + np.cumsum(rng.normal(0, 3, target.shape), axis=1)
    scale = np.array([256 / W, 256 / H])
    seen = np.ones((4, 19), bool)
    expected = measure(
        READINGS["survival_16px"], (target * scale)[:, 1:], (tracked * scale)[:, 1:], seen, seen, (256, 256)
    )
    assert values(Survival(), target, tracked)["survival"] == pytest.approx(expected.value)
    assert 0 < expected.value < 1


@pytest.mark.parametrize(("degrees", "expected"), [(0, 0), (30, 30), (-90, 90), (180, 180), (200, 160)])
def test_direction_error_is_the_angle_between_the_movements(degrees, expected):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = line(16, (70, 60), (100, 70))
    tracked = target[:, :1] + (target - target[:, :1]) @ turn.T
    found = values(DirectionError(), target, tracked)
    assert found["direction_error"] == pytest.approx(expected, abs=1e-6)
    assert found["direction_error_still"] == 0


def test_a_frozen_track_has_no_direction_and_counts_as_ninety_degrees():
    target = line(64)
    found = values(DirectionError(), target, np.repeat(target[:, :1], 64, axis=1))
    assert found == {"direction_error": 90.0, "direction_error_still": 1.0}


def test_direction_does_not_care_for_place_or_jitter():
    target = line(128)
    rng = np.random.default_rng(0)
    tracked = target + np.array([5.0, -5.0]) + rng.normal(0, 0.05, target.shape)
    assert values(DirectionError(), target, tracked)["direction_error"] < 3.0


def test_targets_that_stand_still_have_no_direction():
    target = np.full((1, 16, 2), 60.0)
    found = score(DirectionError(), target, target + 1.0)
    assert "no target moves" in found.skipped
    assert dict(found.values) == {}


def test_speed_error_of_double_half_and_no_speed():
    target = line(16, (20, 30), (65, 30))  # 3 px a frame
    for factor, error in ((2.0, 3.0), (0.5, 1.5), (0.0, 3.0), (1.0, 0.0)):
        tracked = target[:, :1] + factor * (target - target[:, :1])
        found = values(SpeedError(), target, tracked)
        assert found["speed_error"] == pytest.approx(error)
        assert found["speed_error_ratio"] == pytest.approx(factor)
        assert found["speed_error_asked"] == pytest.approx(3.0)


def test_speed_is_per_frame_at_every_length():
    for frames in (16, 64, 128):
        target = line(frames, (20, 30), (20 + 45, 30))
        still = np.repeat(target[:, :1], frames, axis=1)
        assert values(SpeedError(), target, still)["speed_error"] == pytest.approx(45 / (frames - 1))


def test_a_still_target_has_a_speed_error_but_no_ratio():
    target = np.full((1, 16, 2), 60.0)
    found = values(SpeedError(), target, line(16, (60, 60), (75, 60)))
    assert found["speed_error"] == pytest.approx(1.0)
    assert "speed_error_ratio" not in found


def brute_force(a, b):
    """Recursive definitions of both distances, for short paths."""
    d = [[float(np.hypot(*(p - q))) for q in b] for p in a]

    def dtw(i, j):
        if i == j == 0:
            return 2 * d[0][0]
        options = []
        if i:
            options.append(dtw(i - 1, j) + d[i][j])
        if j:
            options.append(dtw(i, j - 1) + d[i][j])
        if i and j:
            options.append(dtw(i - 1, j - 1) + 2 * d[i][j])
        return min(options)

    def frechet(i, j):
        if i == j == 0:
            return d[0][0]
        options = [frechet(i - 1, j)] if i else []
        options += [frechet(i, j - 1)] if j else []
        options += [frechet(i - 1, j - 1)] if i and j else []
        return max(min(options), d[i][j])

    last = len(a) - 1, len(b) - 1
    return dtw(*last) / (len(a) + len(b)), frechet(*last)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
def test_path_distances_equal_their_recursive_definitions(seed, rows, columns):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 5, (rows, 2)), rng.normal(0, 5, (columns, 2))
    assert path_distances(a, b) == pytest.approx(brute_force(a, b), rel=1e-12)


def test_path_distance_forgives_a_time_lag_and_says_how_much():
    target = line(32)
    tracked = np.concatenate([np.repeat(target[:, :1], 4, axis=1), target[:, :-4]], axis=1)
    found = values(PathDistance(), target, tracked)
    objmc = values(ObjMC(), target, tracked)["objmc"]
    assert found["path_distance"] < 0.35 * objmc
    assert found["path_distance_timing"] == pytest.approx(objmc - found["path_distance"])


def test_path_distance_of_a_parallel_path_is_the_gap():
    target = line(16, (20, 40), (120, 40))
    found = values(PathDistance(), target, target + np.array([0.0, 6.0]))
    assert found["path_distance"] == pytest.approx(6.0)
    assert found["path_distance_frechet"] == pytest.approx(6.0)


def test_path_distance_never_exceeds_objmc():
    rng = np.random.default_rng(9)
    for _ in range(20):
        target = rng.uniform(20, 100, (2, 10, 2))
        tracked = rng.uniform(20, 100, (2, 10, 2))
        assert values(PathDistance(), target, tracked)["path_distance_timing"] >= 0
