"""Drawing of paths on frames."""

from __future__ import annotations

import numpy as np
import pytest

from toraeval.trajectories import draw_clip, draw_paths
from toraeval.trajectories.draw import PATH_COLOURS
from toraeval.types import Trajectories, UserError, Video

LINE = np.stack([np.linspace(40, 200, 17), np.full(17, 100.0)], axis=-1)[None]


def grey(height: int = 256, width: int = 256) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(100, 110, (height, width, 3), dtype=np.uint8)


def test_only_the_path_is_touched() -> None:
    frame = grey()
    before = frame.copy()
    drawn = draw_paths(frame, LINE)
    np.testing.assert_array_equal(frame, before)
    rows, columns = np.nonzero((drawn != frame).any(axis=-1))
    assert rows.min() >= 94
    assert rows.max() <= 106
    assert columns.min() >= 34
    assert columns.max() <= 206


def test_dot_is_centred_on_the_current_point() -> None:
    for point in ([100.0, 60.0], [100.5, 60.5]):
        path = np.array([[point, point]])
        changed = (draw_paths(np.zeros((128, 160, 3), np.uint8), path) != 0).any(axis=-1)
        rows, columns = np.nonzero(changed)
        assert (columns.mean(), rows.mean()) == pytest.approx(tuple(point), abs=0.3)


def test_past_is_brighter_than_future_and_fades() -> None:
    drawn = draw_paths(np.zeros((256, 256, 3), np.uint8), LINE, upto=8).astype(int)
    old, recent, future = (drawn[100, x].sum() for x in (50, 105, 190))
    assert recent > old > future > 0
    np.testing.assert_allclose(drawn[100, 120], PATH_COLOURS[0], atol=1)


def test_objects_have_their_own_colours() -> None:
    paths = np.stack([LINE[0], LINE[0] + np.array([0, 60])])
    drawn = draw_paths(np.zeros((256, 256, 3), np.uint8), paths)
    np.testing.assert_allclose(drawn[[100, 160], 200], PATH_COLOURS[:2], atol=1)


def test_tracked_path_stands_apart_and_ends_at_the_moment() -> None:
    black = np.zeros((256, 256, 3), np.uint8)
    drawn = draw_paths(black, LINE, LINE + np.array([0, 40]), upto=8)
    assert (drawn[138:143, 60] > 0).any()
    assert not (drawn[138:143, 180] > 0).any()
    assert (drawn[110:130, 120] > 0).any(axis=-1).all()


def test_hidden_moment_has_no_dot() -> None:
    black = np.zeros((256, 256, 3), np.uint8)
    visible = np.zeros((1, 17), dtype=bool)
    hidden, shown = draw_paths(black, LINE, target_visible_NT=visible), draw_paths(black, LINE)
    assert hidden.astype(int).sum() < shown.astype(int).sum() / 2


def test_far_away_tracks_and_odd_sizes() -> None:
    far = LINE + 1e9
    assert draw_paths(grey(33, 47), LINE, far).shape == (33, 47, 3)


def test_clip_draws_each_moment() -> None:
    target = Trajectories(LINE, np.ones((1, 17), dtype=bool), (256, 256))
    video = Video.from_thwc(np.zeros((17, 256, 256, 3), np.uint8), 8.0, {"a": 1})
    drawn = draw_clip(video, target, LINE)
    assert drawn.info == {"a": 1, "drawn_paths": True}
    for moment in (0, 9, 16):
        np.testing.assert_array_equal(
            drawn.thwc[moment], draw_paths(video.thwc[moment], LINE, LINE, upto=moment)
        )
    with pytest.raises(UserError, match="17 moments on"):
        draw_clip(Video(video.frames_TCHW[:5], 8.0), target)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(UserError, match="frame float64"):
        draw_paths(np.zeros((8, 8, 3)), LINE)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="paths"):
        draw_paths(grey(), LINE[0])
    with pytest.raises(UserError, match=r"upto=17; allowed: 0\.\.16"):
        draw_paths(grey(), LINE, upto=17)
