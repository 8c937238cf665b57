"""The check of the points that any tracker is asked to follow, and what becomes of the points of a case."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from toraeval.trackers import check_queries, follow
from toraeval.types import Case, Tracks, Trajectories, UserError, Video

VIDEO = Video(np.zeros((2, 3, 10, 20), np.uint8), 8.0)


def test_points_up_to_the_outer_pixel_edges_are_accepted() -> None:
    queries = check_queries(VIDEO, [[-0.5, -0.5], [19.5, 9.5], [3, 4]])
    assert queries.dtype == np.float64
    np.testing.assert_array_equal(queries[2], [3.0, 4.0])


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([1.0, 2.0], r"must be an array \(N, 2\) of \(x, y\) with N >= 1, got \(2,\)"),
        (np.zeros((0, 2)), r"got \(0, 2\)"),
        (np.zeros((1, 3)), r"got \(1, 3\)"),
        ([[0.0, 0.0], [np.nan, 1.0]], r"query 1 is \[nan, 1\.0\]; coordinates must be finite"),
        ([[0.0, 0.0], [9.0, 15.0]], r"query 1 at \[9\.0, 15\.0\] lies outside the 20x10 frame"),
        ([[-0.6, 0.0]], r"query 0 at \[-0\.6, 0\.0\] lies outside"),
    ],
)
def test_bad_points_are_named(queries: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_queries(VIDEO, queries)  # type: ignore[arg-type]


class Still:
    """Says that every point stays where it was."""

    name, version = "still", "1"

    def track(self, video: Video, queries_N2: np.ndarray) -> Tracks:
        shape = (len(queries_N2), video.num_frames)
        return Tracks(
            np.tile(queries_N2[:, None], (1, shape[1], 1)), np.ones(shape, bool), np.full(shape, 0.5), {}
        )


def test_objects_that_start_outside_stay_there_unseen() -> None:
    video = Video.from_thwc(np.zeros((3, 20, 30, 3), np.uint8), 8.0)
    paths = np.array([[[5.0, 6], [7, 8], [9, 10]], [[-9.0, 4], [3, 4], [5, 4]]])
    seen = follow(Still(), case_of(paths), video)
    assert seen.tracks_NT2.tolist() == [[[5, 6]] * 3, [[-9, 4]] * 3]
    assert seen.visible_NT.tolist() == [[True] * 3, [False] * 3]
    assert seen.confidence_NT.tolist() == [[0.5] * 3, [0] * 3]
    with pytest.raises(UserError, match="every object starts outside the 30x20 picture"):
        follow(Still(), case_of(paths[1:]), video)


def case_of(paths_NT2: np.ndarray) -> Case:
    trajectories = Trajectories(paths_NT2, np.ones(paths_NT2.shape[:2], bool), (30, 20))
    return Case("c", "s-v1", "p", trajectories, paths_NT2.shape[1], 20, 30, 8.0, 0)


@pytest.mark.parametrize("broken", [np.zeros((1, 2, 2)), np.full((1, 3, 2), np.nan)])
def test_trackers_that_return_something_else_are_named(
    broken: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Still, "track", lambda *_: SimpleNamespace(tracks_NT2=broken))
    video = Video.from_thwc(np.zeros((3, 20, 30, 3), np.uint8), 8.0)
    with pytest.raises(UserError, match=r"tracker still returned .* expected finite numbers \(1, 3, 2\)"):
        follow(Still(), case_of(np.full((1, 3, 2), 5.0)), video)
