"""The suite `photos`: its contract, and that tracks, visibility, masks and filters are what the frames show."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from toraeval.suites.photos import files as photo_files
from toraeval.suites.photos.files import CUT_OUTS, GROUNDS
from toraeval.suites.photos.render import PhotoRenderer
from toraeval.suites.photos.suite import CASES, Photos, scene_of
from toraeval.suites.shared.paths import FAMILIES
from toraeval.types import UserError

HASH = "95a915d7aead721ee5046291cba06b979fc6cc5b907d0864a9f271abe3a5ec5b"


def renderer(index, frames=16, side=256, split="test"):
    _, scene = scene_of(split, index)
    return PhotoRenderer(scene, frames, side, side)


def test_test_set_is_pinned_and_mixed():
    facts = Photos().describe()
    assert facts["hash"] == HASH
    assert facts["cases"] == CASES >= 64
    assert set(facts["path_families"]) == set(FAMILIES)
    entries = [scene for _, scene in Photos().scenes()]
    assert {len(s.objects) for s in entries} == {0, 1, 2, 3}
    assert {s.motion for s in entries if not s.objects} == {"pan", "zoom", "rotation", "mixture"}
    assert {o.shadow for s in entries for o in s.objects} == {True, False}
    first = entries[:16]
    assert {s.ground for s in first} == set(GROUNDS["test"])
    assert len({o.family for s in first for o in s.objects}) >= 8


def test_ids_paths_and_hashes_agree_across_lengths_and_calls():
    short, long = (Photos(count=4).cases(frames, 64, 64) for frames in (16, 31))
    for a, b in zip(short, long, strict=True):
        assert a.id == b.id
        np.testing.assert_allclose(
            a.trajectories.tracks_NT2[:, [0, -1]], b.trajectories.tracks_NT2[:, [0, -1]]
        )
        np.testing.assert_array_equal(a.first_frame_HWC, b.first_frame_HWC)
    again = Photos().cases(16, 64, 64, limit=4)
    assert [c.content_hash for c in again] == [c.content_hash for c in short]
    assert len({c.id for c in Photos().cases(2, 64, 64)}) == Photos().count_cases() == CASES


def test_splits_share_no_photograph_and_every_one_has_its_licence():
    used = {split: {*GROUNDS[split], *CUT_OUTS[split]} for split in GROUNDS}
    assert not used["test"] & used["validation"]
    assert not used["test"] & used["train"]
    assert not used["validation"] & used["train"]
    licences = (photo_files.FOLDER / "LICENSES.md").read_text()
    listed = set(re.findall(r"`(\w+)\.jpg`", licences))
    files = {path.stem for path in photo_files.FOLDER.glob("*.jpg")}
    assert files == listed
    assert set().union(*used.values()) <= files
    assert sum(path.stat().st_size for path in photo_files.FOLDER.iterdir()) < 2_000_000


@pytest.mark.parametrize("split", ["train", "validation"])
def test_other_splits_are_as_long_as_wanted(split):
    cases = Photos(split=split, count=12).cases(2, 64, 64)
    assert len({case.content_hash for case in cases}) == 12


def test_a_followed_point_looks_the_same_in_every_frame():
    """Where nothing grows, turns or hides, the surroundings of the exact track stay as they are."""
    checked = 0
    for index in (0, 1, 3, 13):
        made = renderer(index, frames=9, side=512)
        frames = made.render().astype(np.float32)
        for track, seen in zip(made.tracks_NT2, made.visible(), strict=True):
            patches = [
                cv2.getRectSubPix(f, (15, 15), tuple(map(float, p)))
                for f, p in zip(frames, track, strict=True)
            ]
            contrast = patches[0].std()
            for patch in np.array(patches)[seen]:
                assert np.abs(patch - patches[0]).mean() < 0.25 * contrast
                checked += 1
            astray = cv2.getRectSubPix(frames[-1], (15, 15), tuple(map(float, track[-1] + [4, 4])))
            assert np.abs(astray - patches[0]).mean() > np.abs(patches[-1] - patches[0]).mean()
    assert checked > 20


def test_a_smaller_size_is_the_average_of_the_larger_one():
    """Sampling without a filter first would leave differences several times as large."""
    for index in (2, 10):
        large, small = renderer(index, side=512).frame(7), renderer(index, side=128).frame(7)
        averaged = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA).astype(float)
        sampled = large[2::4, 2::4].astype(float)
        apart = np.abs(small - averaged).mean()
        assert apart < 6
        assert apart < 0.6 * np.abs(sampled - averaged).mean()


def test_a_hidden_object_is_not_visible_and_its_mask_is_what_is_left():
    index = next(i for i in range(64) if "crossing" in scene_of("test", i)[0])
    made = renderer(index, frames=16)
    visible, masks = made.visible(), made.masks()
    assert visible[:, 0].all()
    assert not visible[0].all()
    assert not (masks[0] & masks[1]).any()
    areas = masks[0].sum((1, 2))
    assert areas.min() < 0.7 * areas.max()
    for t in np.flatnonzero(~visible[0]):
        x, y = np.rint(made.tracks_NT2[0, t]).astype(int)
        assert masks[1:, t, y, x].any()


def test_masks_of_points_are_the_ground_around_them_and_grow_with_it():
    checked = 0
    for index in range(CASES):
        _, scene = scene_of("test", index)
        inside = scene.tracks(16)[0]
        if scene.motion != "zoom" or scene.objects or inside.min() < 60 or inside.max() > 450:
            continue
        areas = renderer(index).masks()[0].sum((1, 2))
        window = scene.camera(16)[:, 2]
        assert areas[-1] / areas[0] == pytest.approx((window[0] / window[-1]) ** 2, rel=0.05)
        checked += 1
    assert checked


def test_clips_move_and_start_with_the_first_frame():
    case = Photos().cases(5, 96, 128, limit=3)[2]
    video = case.reference().video
    assert (video.num_frames, video.height, video.width) == (5, 96, 128)
    np.testing.assert_array_equal(video.thwc[0], case.first_frame_HWC)
    assert (video.thwc[4] != video.thwc[0]).any()
    assert case.reference().masks().shape == (case.trajectories.num_objects, 5, 96, 128)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "tset"}, "unknown split"),
        ({"count": 0}, "count=0"),
        ({"count": 65}, "1 to 64"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        Photos(**options)


@pytest.mark.parametrize("size", [(63, 64), (64, 63)])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(UserError, match="64 pixels"):
        Photos().cases(16, *size)
