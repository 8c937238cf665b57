from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from toraeval.models.cut_and_drag import CutAndDrag
from toraeval.suites.photos.suite import Photos
from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.trackers.shared.base import follow
from toraeval.types import Case, Trajectories, UserError


def make_case(tracks, visible=None, side=96) -> Case:
    tracks = np.asarray(tracks, dtype=float)
    visible = np.ones(tracks.shape[:2], bool) if visible is None else visible
    rng = np.random.default_rng(1)
    first = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    paths = Trajectories(tracks, visible, (side, side))
    return Case("c", "test-v1", "", paths, tracks.shape[1], side, side, 8.0, 0, first_frame_HWC=first)


def line(frames=5, start=(30.0, 40.0), step=(6.0, 2.0)):
    return np.array(start) + np.arange(frames)[:, None] * np.array(step)


def test_the_patch_is_where_the_path_is_and_the_hole_is_filled() -> None:
    case = make_case([line()])
    frames = CutAndDrag().generate(case, 0).thwc
    first = case.first_frame_HWC
    np.testing.assert_array_equal(frames[0], first)
    for t in range(1, 5):
        x, y = (case.trajectories.tracks_NT2[0, t]).astype(int)
        np.testing.assert_array_equal(frames[t, y - 5 : y + 6, x - 5 : x + 6], first[35:46, 25:36])
    assert (frames[4, 35:46, 25:36] != first[35:46, 25:36]).mean() > 0.9
    np.testing.assert_array_equal(frames[4, 80:], first[80:])  # nothing else changes


def test_the_same_again_whatever_the_seed() -> None:
    case = make_case([line()])
    np.testing.assert_array_equal(CutAndDrag().generate(case, 0).thwc, CutAndDrag().generate(case, 9).thwc)


def test_hidden_and_outside_targets_are_not_drawn() -> None:
    visible = np.ones((2, 5), bool)
    visible[0, 3] = False
    case = make_case([line(), line(start=(-30.0, 10.0), step=(0.0, 0.0))], visible)
    video = CutAndDrag().generate(case, 0)
    assert video.info["objects_drawn"] == 1
    x, y = case.trajectories.tracks_NT2[0, 3].astype(int)
    ground = CutAndDrag().generate(make_case([line()]), 0).thwc
    assert (video.thwc[3, y - 5 : y + 6, x - 5 : x + 6] != ground[3, y - 5 : y + 6, x - 5 : x + 6]).any()


def test_it_follows_paths_over_photographs_better_than_a_still_picture() -> None:
    case = Photos().cases(6, 256, 256, limit=4)[3]
    video = CutAndDrag().generate(case, 0)
    tracks = follow(LucasKanade(), case, video)
    target = case.trajectories.tracks_NT2
    off = np.abs(tracks.tracks_NT2 - target).sum(-1)[0, 1:].mean()
    assert off < 0.1 * np.abs(target - target[:, :1]).sum(-1)[0, 1:].mean()


@pytest.mark.parametrize("options", [{"radius": 0.0}, {"radius": 0.6}, {"inpaint_radius": 0}])
def test_impossible_options_are_refused(options) -> None:
    with pytest.raises(UserError, match="allowed"):
        CutAndDrag(**options)


def test_case_without_first_frame_is_refused() -> None:
    case = dataclasses.replace(make_case([line()]), first_frame_HWC=None)
    with pytest.raises(UserError, match="model cut_and_drag needs a first frame"):
        CutAndDrag().generate(case, 0)
