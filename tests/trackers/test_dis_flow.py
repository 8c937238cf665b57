from __future__ import annotations

import numpy as np
import pytest

from toraeval import registry
from toraeval.suites.photos.suite import Photos
from toraeval.trackers.dis_flow import DISFlow
from toraeval.trackers.shared.base import follow
from toraeval.types import UserError, Video


@pytest.fixture(scope="module")
def cases():
    return Photos().cases(6, 256, 256, limit=14)


@pytest.mark.parametrize("index", [1, 3, 4, 7, 13])
def test_points_on_photographs_are_followed(cases, index):
    case = cases[index]
    tracks = follow(DISFlow(), case, case.reference().video)
    off = np.linalg.norm(tracks.tracks_NT2 - case.trajectories.tracks_NT2, axis=-1)
    seen = case.trajectories.visible_NT & tracks.visible_NT
    assert seen[:, 1:].any()
    assert off[seen].mean() < 2.0


def test_a_frozen_clip_gives_exactly_the_query(cases):
    still = Video.from_thwc(np.repeat(cases[1].first_frame_HWC[None], 5, 0), 8.0)
    tracks = DISFlow().track(still, [[40.25, 50.5]])
    np.testing.assert_array_equal(tracks.tracks_NT2, np.full((1, 5, 2), [40.25, 50.5]))
    assert tracks.visible_NT.all()


def test_a_point_whose_flow_does_not_lead_back_is_lost_and_keeps_its_place():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    tracks = DISFlow(tolerance_px=0.05, tolerance_share=0.0).track(
        Video.from_thwc(frames, 8.0), [[30.0, 30.0]]
    )
    assert tracks.visible_NT[0, 0]
    lost = np.flatnonzero(~tracks.visible_NT[0])
    assert len(lost)
    assert not tracks.visible_NT[0, lost[0] :].any()
    np.testing.assert_array_equal(
        tracks.tracks_NT2[0, lost], np.repeat(tracks.tracks_NT2[0, lost[0] - 1][None], len(lost), 0)
    )


def test_points_do_not_depend_on_each_other(cases):
    video = cases[3].reference().video
    both = DISFlow().track(video, [[100.0, 100.0], [30.0, 200.0]])
    one = DISFlow().track(video, [[30.0, 200.0]])
    np.testing.assert_array_equal(both.tracks_NT2[1], one.tracks_NT2[0])


def test_wrong_options_and_tiny_frames_are_refused():
    with pytest.raises(UserError, match="preset=slow; allowed: ultrafast, fast, medium"):
        registry.build("tracker", {"name": "dis_flow", "preset": "slow"})
    tiny = Video.from_thwc(np.zeros((3, 16, 16, 3), np.uint8), 8.0)
    with pytest.raises(UserError, match="16x16"):
        DISFlow().track(tiny, [[4.0, 4.0]])
