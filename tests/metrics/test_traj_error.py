"""TrajError v1: exact answers on made-up tracks, its exclusions, its invariants and its errors."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toraeval.metrics.traj_error import TrajError
from toraeval.types import Case, Tracks, Trajectories, UserError

SIZE = (320, 240)


def make_case(target, visible=None, size=SIZE, case_id="case"):
    target = np.asarray(target, dtype=np.float64)
    visible = np.ones(target.shape[:2], dtype=bool) if visible is None else np.asarray(visible, dtype=bool)
    path = Trajectories(target, visible, size)
    return Case(case_id, "test-v1", "a square moves", path, target.shape[1], size[1], size[0], 8.0, 0)


def make_tracks(points, visible=None):
    points = np.asarray(points, dtype=np.float64)
    return Tracks(points, np.ones(points.shape[:2], dtype=bool) if visible is None else np.asarray(visible))


def walk(rng, objects=3, frames=12):
    return rng.uniform(60, 180, (objects, 1, 2)) + np.cumsum(rng.normal(0, 4, (objects, frames, 2)), axis=1)


@pytest.fixture
def target():
    return walk(np.random.default_rng(7))


def test_constant_shift_is_read_exactly(target):
    score = TrajError().score(make_case(target), make_tracks(target + np.array([3.0, -4.0])), None)
    expected = {
        "traj_error": 7.0,
        "traj_error_l2": 5.0,
        "traj_error_half": 3.5,
        "traj_error_x": 3.0,
        "traj_error_y": 4.0,
        "traj_error_final": 7.0,
        "traj_error_256": 3 * 256 / 320 + 4 * 256 / 240,
        "traj_error_diagonal": 7 / 400,
        "tracked_visible": 1.0,
        "n_objects": 3.0,
        "scored_points": 33.0,
    }
    assert {name: score.values[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert score.skipped is None


def test_query_frame_is_free_of_charge(target):
    tracked = target + 1.0
    tracked[:, 0] += 100.0
    score = TrajError().score(make_case(target), make_tracks(tracked), None)
    assert score.values["traj_error"] == pytest.approx(2.0)
    assert np.isnan(score.arrays["errors_NT"][:, 0]).all()
    assert np.isnan(score.arrays["error_T"][0])


def test_hidden_and_outside_targets_do_not_count(target):
    visible = np.ones(target.shape[:2], dtype=bool)
    tracked = target + 1.0
    visible[0, 5] = False
    tracked[0, 5] += 1000.0
    target[1, 6] = (SIZE[0] - 0.4, 10.0)
    score = TrajError().score(make_case(target, visible), make_tracks(tracked), None)
    assert score.values["traj_error"] == pytest.approx(2.0)
    assert score.values["scored_points"] == 31
    assert np.isnan(score.arrays["errors_NT"][[0, 1], [5, 6]]).all()


def test_object_that_cannot_be_queried_is_left_out(target):
    visible = np.ones(target.shape[:2], dtype=bool)
    visible[2, 0] = False
    tracked = target + 1.0
    tracked[2] += 500.0
    score = TrajError().score(make_case(target, visible), make_tracks(tracked), None)
    assert score.values["traj_error"] == pytest.approx(2.0)
    assert score.values["n_objects"] == 2


def test_objects_weigh_the_same_however_long_they_are_visible():
    target = np.full((2, 11, 2), 50.0)
    visible = np.ones((2, 11), dtype=bool)
    visible[1, 2:] = False
    tracked = target.copy()
    tracked[0, :, 0] += 1.0
    tracked[1, :, 0] += 9.0
    assert TrajError().score(make_case(target, visible), make_tracks(tracked), None).values[
        "traj_error"
    ] == pytest.approx(5.0)


def test_final_error_is_taken_where_the_object_was_last_scored():
    target = np.full((1, 5, 2), 50.0)
    visible = np.array([[True, True, True, False, False]])
    tracked = target.copy()
    tracked[0, :, 0] += [0, 1, 2, 30, 40]
    values = TrajError().score(make_case(target, visible), make_tracks(tracked), None).values
    assert values["traj_error_final"] == pytest.approx(2.0)


def test_a_point_the_tracker_lost_counts_and_is_reported(target):
    seen = np.ones(target.shape[:2], dtype=bool)
    seen[:, 6:] = False
    values = TrajError().score(make_case(target), make_tracks(target + 1.0, seen), None).values
    assert values["traj_error"] == pytest.approx(2.0)
    assert values["tracked_visible"] == pytest.approx(5 / 11)


def test_every_mean_can_be_derived_from_the_arrays(target):
    noise = np.random.default_rng(0).normal(0, 3, target.shape)
    score = TrajError().score(make_case(target), make_tracks(target + noise), None)
    offset = np.abs(score.arrays["offset_NT2"])
    assert np.nanmean(np.nanmean(offset.sum(-1), axis=1)) == pytest.approx(score.values["traj_error"])
    assert np.nanmean(np.nanmean(offset[..., 1], axis=1)) == pytest.approx(score.values["traj_error_y"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(np.nanmean(score.arrays["errors_NT"], axis=0), score.arrays["error_T"])


def test_static_error_is_what_a_frozen_track_scores(target):
    frozen = np.repeat(target[:, :1], target.shape[1], axis=1)
    values = TrajError().score(make_case(target), make_tracks(frozen), None).values
    assert values["static_error"] == pytest.approx(values["traj_error"])
    assert TrajError().score(make_case(target), make_tracks(target), None).values[
        "static_error"
    ] == pytest.approx(values["traj_error"])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_perfect_shifted_frozen_shuffled_rank_in_this_order(seed):
    start = np.random.default_rng(seed).uniform(60, 100, (3, 1, 2))
    step = np.random.default_rng(seed + 1).uniform(6, 8, (3, 1, 2))
    target = start + step * np.arange(12)[None, :, None] * np.array([[[1, 1]], [[1, 0.3]], [[0.3, 1]]])
    candidates = {
        "perfect": target,
        "shifted": target + 2.0,
        "frozen": np.repeat(target[:, :1], 12, axis=1),
        "shuffled": 2 * target[:, :1] - target,
    }
    case = make_case(target)
    errors = [
        TrajError().score(case, make_tracks(points), None).values["traj_error"]
        for points in candidates.values()
    ]
    assert errors == sorted(errors)
    assert len(set(errors)) == 4
    assert errors[0] == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(-40, 40), st.floats(-40, 40))
def test_joint_translation_changes_nothing(seed, dx, dy):
    rng = np.random.default_rng(seed)
    target = rng.uniform(60, 160, (2, 8, 2))
    tracked = target + rng.normal(0, 5, target.shape)
    plain = TrajError().score(make_case(target), make_tracks(tracked), None).values
    shift = np.array([dx, dy])
    moved = TrajError().score(make_case(target + shift), make_tracks(tracked + shift), None).values
    assert dict(moved) == pytest.approx(dict(plain), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)))
def test_order_of_objects_changes_nothing(order):
    rng = np.random.default_rng(3)
    target = walk(rng, objects=4)
    tracked = target + rng.normal(0, 5, target.shape)
    plain = TrajError().score(make_case(target), make_tracks(tracked), None).values
    turned = TrajError().score(make_case(target[list(order)]), make_tracks(tracked[list(order)]), None).values
    assert dict(turned) == pytest.approx(dict(plain), abs=1e-9)


@pytest.mark.parametrize(
    ("target", "visible", "words"),
    [
        (np.full((2, 5, 2), 50.0), np.zeros((2, 5), bool), "no object has a visible target"),
        (np.full((1, 5, 2), -50.0), None, "no object has a visible target inside 320x240"),
        (np.full((1, 1, 2), 50.0), None, "frame 0 is the query frame"),
    ],
)
def test_nothing_to_score_is_a_recorded_skip(target, visible, words):
    score = TrajError().score(make_case(target, visible), make_tracks(target), None)
    assert words in score.skipped
    assert dict(score.values) == {}


def test_missing_tracks_are_a_recorded_skip(target):
    score = TrajError().score(make_case(target), None, None)
    assert "no tracks" in score.skipped
    assert dict(score.values) == {}


def test_wrong_shapes_and_numbers_are_refused(target):
    metric, case = TrajError(), make_case(target)
    with pytest.raises(UserError, match=r"tracks of shape \(3, 11, 2\), expected \(3, 12, 2\)"):
        metric.score(case, make_tracks(target[:, :-1]), None)
    with pytest.raises(UserError, match=r"visibility of shape \(3, 2\)"):
        metric.score(case, make_tracks(target, np.ones((3, 2), bool)), None)
    broken = target.copy()
    broken[1, 4, 0] = np.nan
    with pytest.raises(UserError, match="object 1, frame 4"):
        metric.score(case, make_tracks(broken), None)
    other = Case("case", "test-v1", "", case.trajectories, 12, 480, 640, 8.0, 0)
    with pytest.raises(UserError, match="canvas"):
        metric.score(other, make_tracks(target), None)
    longer = Case("case", "test-v1", "", case.trajectories, 13, SIZE[1], SIZE[0], 8.0, 0)
    with pytest.raises(UserError, match="target points"):
        metric.score(longer, make_tracks(target), None)


def test_definition_is_json_and_names_every_value(target):
    metric = TrajError()
    definition = json.loads(json.dumps(metric.definition()))
    values = metric.score(make_case(target), make_tracks(target), None).values
    assert set(definition["columns"]) == set(values)
    assert (definition["metric"], definition["version"]) == (metric.name, metric.version)
