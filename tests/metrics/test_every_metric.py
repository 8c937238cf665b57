"""What every registered metric must do, whoever wrote it: definitions, edge cases, no zero for an absence."""

from __future__ import annotations

import functools
import json
import re

import numpy as np
import pytest

from tests.metrics.made_up import SIZE, clip, field, line, make_case, make_clip, make_tracks
from toraeval import registry
from toraeval.metrics.shared.expectations import CONDITIONS, orders
from toraeval.types import MissingAsset, Reference, Score, Tracks, UserError

NAMES = registry.names("metric")
DIRECTIONS = ("lower", "higher")


@functools.cache  # a part keeps nothing of what it has scored, and networks are read once
def build(name):
    try:
        return registry.build("metric", {"name": name})
    except MissingAsset as error:
        pytest.skip(str(error))


def score(metric, case, tracks, video):
    """Score a case; whatever comes back is a number that is finite, or a reason."""
    try:
        found = metric.score(case, tracks, video)
    except MissingAsset as error:
        pytest.skip(str(error))
    assert isinstance(found, Score)
    assert (found.metric, found.version) == (metric.name, metric.version)
    assert all(np.isfinite(value) for value in found.values.values())
    if found.skipped is None:
        assert found.values or (metric.of_set and found.arrays)
    else:
        assert len(found.skipped) > 10
        assert dict(found.values) == {}
    return found


@pytest.fixture(scope="module")
def moving():
    case, video = make_clip(line(16))
    return case, make_tracks(case.trajectories.tracks_NT2), video


@pytest.fixture(scope="module")
def scored(moving):
    """What a metric by name makes of the moving square, once."""
    return functools.cache(lambda name: score(build(name), *moving))


@pytest.fixture(scope="module")
def reads_tracks(moving):
    """Whether a metric by name reads the tracks: without them it has a reason."""
    case, _, video = moving
    return functools.cache(lambda name: "track" in (score(build(name), case, None, video).skipped or ""))


@pytest.mark.parametrize("name", NAMES)
def test_the_ground_truth_scores_and_the_definition_is_complete(name, scored):
    metric = build(name)
    definition = json.loads(json.dumps(metric.definition()))
    assert (
        (definition["metric"], definition["version"])
        == (name, metric.version)
        == (metric.name, metric.version)
    )
    assert definition["direction"] == metric.direction
    assert metric.direction in DIRECTIONS
    assert definition["units"] == metric.units or name == "traj_error"  # its own says more
    for key in ("formula", "source", "columns"):
        assert definition[key], key
    assert set(scored(name).values) <= set(definition["columns"])
    assert any(column.startswith(name) for column in definition["columns"])
    if name != "traj_error":  # its first version named some columns without the prefix
        prefixes = ("fvd", "kvd") if name == "fvd" else name
        assert all(column.startswith(prefixes) for column in definition["columns"])


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_says_what_a_reader_must_know(name):
    text = " ".join((registry.load("metric", name).__doc__ or "").split())
    assert f"{registry.load('metric', name).direction} is better" in text.lower()
    assert re.search(r"arXiv|[Dd]efinition of our own|[Ss]ource|\b(19|20)\d\d\b", text)
    if name != "traj_error":
        assert re.search(r"[Ff]rozen", text), "say what a degenerate video gets"
        assert re.search(r"[Rr]ange|\d to \d|; 0 for equal", text), "say which values there are"


@pytest.mark.parametrize("name", NAMES)
def test_how_it_orders_spoilt_videos_is_declared(name):
    columns = build(name).definition()["columns"]
    assert set(columns) & set(orders()), f"{name}: say in `expected` how it orders spoilt videos"


def test_expectations_name_known_conditions():
    for column, chains in orders().items():
        for chain in chains:
            assert set(re.split(r" <=? ", chain)) <= set(CONDITIONS), column


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_are_not_finite_are_refused(name, moving, scored, reads_tracks):
    metric, (case, tracks, video) = build(name), moving
    points = tracks.tracks_NT2.copy()
    points[0, 4, 1] = np.nan
    broken = Tracks(points, tracks.visible_NT)
    if reads_tracks(name):
        with pytest.raises(UserError, match="object 0, frame 4"):
            metric.score(case, broken, video)
    else:
        assert score(metric, case, broken, video).values == scored(name).values


@pytest.mark.parametrize("name", NAMES)
def test_no_tracks_or_no_video_is_a_recorded_skip(name, moving):
    metric, (case, tracks, _) = build(name), moving
    nothing = score(metric, case, None, None)
    assert nothing.skipped
    if metric.needs_video:
        assert score(metric, case, tracks, None).skipped


@pytest.mark.parametrize("name", NAMES)
def test_two_frames_are_enough_or_a_recorded_skip(name):
    case, video = make_clip(line(2))
    score(build(name), case, make_tracks(case.trajectories.tracks_NT2), video)


@pytest.mark.parametrize("name", NAMES)
def test_several_objects_of_which_one_starts_hidden(name, moving):
    case, video = make_clip(np.concatenate([line(8), line(8, (110, 100), (60, 100))]))
    case.trajectories.visible_NT[1, 0] = False
    score(build(name), case, make_tracks(case.trajectories.tracks_NT2), video)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("picture", ["field", "black"])
def test_a_constant_video_does_not_crash(name, picture):
    frame = field() if picture == "field" else np.zeros_like(field())
    case = make_clip(line(12))[0]
    still = np.repeat(case.trajectories.tracks_NT2[:, :1], 12, axis=1)
    video = clip(np.repeat(frame[None], 12, axis=0))
    score(build(name), case, make_tracks(still, np.zeros((1, 12), bool)), video)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_is_never_visible_is_a_recorded_skip(name, moving, reads_tracks):
    metric, (_, tracks, video) = build(name), moving
    hidden = make_case(tracks.tracks_NT2, np.zeros((1, 16), bool), SIZE, moving[0].reference)
    found = score(metric, hidden, tracks, video)
    if reads_tracks(name):
        assert "no object has a visible target" in found.skipped


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_objects_changes_nothing(name):
    case, video = make_clip(np.concatenate([line(8), line(8, (110, 100), (60, 100))]))
    metric, points = build(name), case.trajectories.tracks_NT2 + 1.5
    frames, masks = case.reference().video, case.reference().masks()
    turned = make_case(
        case.trajectories.tracks_NT2[::-1],
        size=SIZE,
        reference=lambda: Reference(frames, lambda: masks[::-1]),
    )
    plain = score(metric, case, make_tracks(points), video).values
    assert dict(score(metric, turned, make_tracks(points[::-1]), video).values) == pytest.approx(dict(plain))
