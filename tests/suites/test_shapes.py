"""The shapes suite: what is in it, and that its truth is the truth."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from toraeval import geometry
from toraeval.models.shared.nano.caption_encoder import SKIPPED, VOCABULARY
from toraeval.suites.shapes.suite import TEST_SET, Shapes
from toraeval.suites.shapes.world import COLOURS, sample_scene
from toraeval.suites.shared.paths import FAMILIES, PATH_SAMPLES, sample_path
from toraeval.types import Case, Reference, UserError

TEST_HASH = "da2b9b1a23b602710e6713297e47b755cb51ce13c9dc4dea1f1e5688b7f68934"


@cache
def cases(frames: int = 16, height: int = 128, width: int = 128) -> tuple[Case, ...]:
    return tuple(Shapes(version=1).cases(frames, height, width))


def reference(case: Case) -> Reference:
    assert case.reference is not None
    return case.reference()


def masks(case: Case) -> np.ndarray:
    build = reference(case).masks
    assert build is not None
    return build()


def test_the_published_set_is_pinned() -> None:
    assert Shapes(version=1).fingerprint() == {
        "suite": "shapes",
        "version": "1",
        "split": "test",
        "hash": TEST_HASH,
    }


def test_what_is_in_the_set() -> None:
    facts = Shapes(version=1).describe()
    assert facts["cases"] == len(cases()) == 16
    assert facts["single_object_cases"] == 11
    assert facts["single_object_cases"] / facts["cases"] >= 2 / 3
    assert facts["drifting_backgrounds"] == 3
    assert facts["hash"] == TEST_HASH
    assert len(FAMILIES) == 10
    assert set(facts["path_families"]) == set(FAMILIES)
    assert set(FAMILIES) == {case.tags["family"] for case in cases()}
    assert Counter(case.tags["objects"] for case in cases()) == {1: 11, 2: 3, 3: 2}


def test_ids_are_safe_and_the_same_at_every_length_and_size() -> None:
    ids = [case.id for case in cases()]
    assert len(set(ids)) == 16
    assert all(name.replace("_", "").isalnum() for name in ids)
    assert ids == [case.id for case in cases(9, 64, 96)]


@pytest.mark.parametrize("frames", [64, 128])
def test_geometry_does_not_depend_on_the_number_of_frames(frames: int) -> None:
    for short, long in zip(cases(), cases(frames), strict=True):
        few, many = short.trajectories.tracks_NT2, long.trajectories.tracks_NT2
        assert many.shape[1] == long.frames == frames
        np.testing.assert_allclose(many[:, [0, -1]], few[:, [0, -1]], atol=1e-9)
        assert np.array_equal(short.first_frame_HWC, long.first_frame_HWC)  # type: ignore[arg-type]
        for one, other in zip(few, many, strict=True):
            # every point of the short track lies on the long one, whose corners are cut by half a step at most
            start, step = other[:-1], np.diff(other, axis=0)
            square = np.maximum((step**2).sum(-1), 1e-12)
            along = ((one[:, None] - start) * step).sum(-1) / square
            foot = start + along.clip(0, 1)[..., None] * step
            assert np.linalg.norm(one[:, None] - foot, axis=-1).min(1).max() < 0.5


def test_speeds_are_bounded() -> None:
    fastest = max(
        np.linalg.norm(np.diff(sample_scene("test", i, n, family, drift).tracks(16), axis=1), axis=-1).max()
        for i, n, family, drift in TEST_SET
    )
    assert 8 < fastest < 17  # canvas pixels a frame


def test_splits_are_disjoint() -> None:
    seen: dict[bytes, str] = {}
    for split in ("train", "validation", "test"):
        for index in range(24):
            key = sample_scene(split, index).content()
            assert key not in seen
            seen[key] = split
    hashes = {Shapes(split, 8, 1).fingerprint()["hash"] for split in ("train", "validation", "test")}
    assert len(hashes) == 3


def test_the_same_request_gives_the_same_cases() -> None:
    again = Shapes(version=1).cases(16, 128, 128, limit=4)
    assert len(again) == 4
    for one, other in zip(cases(), again, strict=False):
        assert one.content_hash == other.content_hash
        assert np.array_equal(one.trajectories.tracks_NT2, other.trajectories.tracks_NT2)
        assert np.array_equal(one.first_frame_HWC, other.first_frame_HWC)  # type: ignore[arg-type]
        assert one.prompt == other.prompt
    assert np.array_equal(reference(again[0]).video.frames_TCHW, reference(cases()[0]).video.frames_TCHW)


def test_content_hashes_tell_cases_lengths_and_sizes_apart() -> None:
    requests = [cases(), cases(9, 64, 96), cases(64), cases(16, 96, 64)]
    hashes = [case.content_hash for request in requests for case in request]
    assert len(set(hashes)) == len(hashes) == 64


@pytest.mark.parametrize("size", [(128, 128), (96, 144)])
def test_tracks_are_the_centroids_of_the_masks(size: tuple[int, int]) -> None:
    rows, columns = np.mgrid[: size[0], : size[1]]
    for case in cases(16, *size):
        top = masks(case)[-1]  # the last object is drawn over all others, so it is whole
        for t, mask in enumerate(top):
            centroid = columns[mask].mean(), rows[mask].mean()
            np.testing.assert_allclose(centroid, case.trajectories.tracks_NT2[-1, t], atol=0.5)


def test_visibility_is_what_the_masks_show() -> None:
    hidden = 0
    for case in cases():
        tracks, visible = case.trajectories.tracks_NT2, case.trajectories.visible_NT
        near = np.array([(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)])
        for n, object_masks in enumerate(masks(case)):
            for t, mask in enumerate(object_masks):
                x, y = (np.rint(tracks[n, t]).astype(int) + near).T
                around = mask[y, x]
                # within a pixel of the later object's outline either answer is right
                assert around.any() if visible[n, t] else not around.all()
                hidden += not visible[n, t]
    assert hidden >= 10
    assert all(case.trajectories.visible_NT[:, 0].all() for case in cases())
    crossings = [case for case in cases() if case.tags["family"] == "crossing"]
    assert all((~case.trajectories.visible_NT).any() for case in crossings)


def test_objects_start_whole_and_stay_inside() -> None:
    for case in cases():
        shown = masks(case)
        areas = shown.sum((2, 3))
        assert (areas[:, 0] >= 0.9 * areas.max(1)).all()
        assert not shown[:, :, [0, -1]].any()
        assert not shown[..., [0, -1]].any()


def test_first_frame_is_the_first_of_the_render() -> None:
    for case in cases():
        video = reference(case).video
        assert video.num_frames == case.frames
        assert np.array_equal(video.thwc[0], case.first_frame_HWC)  # type: ignore[arg-type]
        assert not np.array_equal(video.thwc[0], video.thwc[5])


def test_captions_name_every_object_in_known_words() -> None:
    for case in cases():
        words = case.prompt.split()
        assert all(word in VOCABULARY or word in SKIPPED for word in words)
        assert words.count("disc") == case.tags["objects"] == len(case.trajectories.names)
        for name in case.trajectories.names:
            assert name in case.prompt
        assert ("drifting" in words) == (case.tags["drift"] != "none")
        colours = [name.split()[0] for name in case.trajectories.names]
        assert len(set(colours)) == len(colours)


def test_objects_have_their_named_colours() -> None:
    for case in cases():
        frame = case.first_frame_HWC
        assert frame is not None
        for name, mask in zip(case.trajectories.names, masks(case)[:, 0], strict=True):
            # the rest is the disc, and the edge where colours mix
            assert (frame[mask] == COLOURS[name.split()[0]]).all(-1).mean() > 0.35


def test_another_size_is_the_same_scene() -> None:
    for square, wide in zip(cases(), cases(16, 256, 384), strict=True):
        assert wide.trajectories.canvas == (384, 256)
        assert wide.first_frame_HWC is not None
        assert wide.first_frame_HWC.shape == (256, 384, 3)
        expected = geometry.to_canvas(square.trajectories, 384, 256)
        np.testing.assert_allclose(wide.trajectories.tracks_NT2, expected.tracks_NT2, atol=1e-9)
        assert wide.prompt == square.prompt


@pytest.mark.parametrize("family", FAMILIES)
def test_paths_have_the_length_asked_for(family: str) -> None:
    path = sample_path(family, 150.0, 1.0, np.random.default_rng(0))
    assert path.shape == (PATH_SAMPLES, 2)
    assert path[0].tolist() == [0, 0]
    np.testing.assert_allclose(np.linalg.norm(np.diff(path, axis=0), axis=-1).sum(), 150.0)
    turned = sample_path(family, 150.0, 2.0, np.random.default_rng(0))
    cos, sin = np.cos(1.0), np.sin(1.0)
    np.testing.assert_allclose(turned, path @ np.array([[cos, sin], [-sin, cos]]), atol=1e-9)


def test_drawn_scenes_have_the_stated_mixture() -> None:
    scenes = [sample_scene("train", index) for index in range(120)]
    single = sum(len(s.objects) == 1 for s in scenes)
    drifting = sum(s.drift is not None for s in scenes)
    assert 65 <= single <= 95
    assert 18 <= drifting <= 45
    assert {s.objects[0].family for s in scenes} == set(FAMILIES)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ((1, 128, 128), "frames=1; allowed: whole numbers >= 2"),
        ((0, 128, 128), "frames=0"),
        ((16, 63, 128), "size 128x63; allowed: 64 pixels and more"),
        ((16, 128, 8), "size 8x128; allowed: 64 pixels and more"),
        ((16, 128, 128, 0), "limit=0; allowed: whole numbers >= 1"),
    ],
)
def test_impossible_requests_are_refused(request_: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Shapes(version=1).cases(*request_)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UserError, match="unknown split 'dev'; allowed: test, validation, train"):
        Shapes("dev")
    with pytest.raises(UserError, match="count=0"):
        Shapes("validation", 0)
