"""The anchored tracker on exact tracks, through occlusion, fading, loss, and on real clips where they are at hand."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from toraeval.suites.shapes.suite import Shapes
from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.types import Case, Tracks, UserError, Video

REAL_VIDEOS = os.environ.get("TORAEVAL_REAL_VIDEOS")
RED, BLUE, GREEN, WHITE = (215, 45, 40), (45, 80, 220), (40, 170, 70), (245, 245, 245)


def paint(
    frame: np.ndarray, x: float, y: float, body: tuple[int, ...], disc: tuple[int, ...], radius: int = 34
) -> None:
    """Draw a disc in a disc with 1/16-pixel placing."""
    centre = (round(x * 16), round(y * 16))
    cv2.circle(frame, centre, radius * 16, body, -1, cv2.LINE_AA, 4)
    cv2.circle(frame, centre, radius * 6, disc, -1, cv2.LINE_AA, 4)


def clip(paths: list[np.ndarray], looks: list[tuple], height: int = 200, width: int = 280) -> Video:
    """Render objects (later ones on top) over a smooth background."""
    y, x = np.mgrid[:height, :width]
    still = np.stack([120 + 25 * np.sin(x / 70 + k) + 20 * np.cos(y / 50) for k in range(3)], -1).astype(
        np.uint8
    )
    frames = np.repeat(still[None], len(paths[0]), axis=0)
    for t in range(len(frames)):
        for path, look in zip(paths, looks, strict=True):
            paint(frames[t], *path[t], *look)
    return Video.from_thwc(frames, 8.0)


def line(start: tuple[float, float], end: tuple[float, float], frames: int) -> np.ndarray:
    return np.linspace(start, end, frames)


def errors(case: Case, tracks: Tracks) -> list[float]:
    """Mean |dx| + |dy| per object over visible frames after the query frame."""
    distance = np.abs(tracks.tracks_NT2 - case.trajectories.tracks_NT2).sum(-1)[:, 1:]
    seen = case.trajectories.visible_NT[:, 1:]
    return [float(d[s].mean()) for d, s in zip(distance, seen, strict=True)]


@pytest.mark.parametrize(
    ("frames", "cases", "mean_limit", "worst_limit"),
    [(16, (0, 4, 8, 10, 11, 12, 13, 15), 0.4, 1.5), (64, (12,), 0.5, 1.5), (128, (15,), 0.5, 1.5)],
)
def test_floor_on_exact_tracks(
    frames: int, cases: tuple[int, ...], mean_limit: float, worst_limit: float
) -> None:
    """Measured means are 0.12 to 0.17 px; the project's limits are 2 px at 16 and 5 px at 128 frames."""
    every = Shapes().cases(frames=frames, height=512, width=512)
    found, agree = [], []
    for case in (every[i] for i in cases):
        assert case.reference is not None
        tracks = LucasKanade().track(case.reference().video, case.trajectories.tracks_NT2[:, 0])
        found.append(errors(case, tracks))
        agree.append((tracks.visible_NT == case.trajectories.visible_NT).mean())
    assert np.mean([np.mean(e) for e in found]) < mean_limit
    assert max(max(e) for e in found) < worst_limit
    assert np.mean(agree) > 0.95


def test_frozen_clip_gives_exactly_the_query() -> None:
    case = Shapes(version=1).cases(frames=2, height=256, width=256, limit=12)[11]  # two objects
    assert case.first_frame_HWC is not None
    frames = np.repeat(case.first_frame_HWC[None], 6, axis=0)
    queries = np.concatenate([case.trajectories.tracks_NT2[:, 0], [[3.3, 250.9]]])
    tracks = LucasKanade().track(Video.from_thwc(frames, 8.0), queries)
    np.testing.assert_array_equal(tracks.tracks_NT2, np.repeat(queries[:, None], 6, axis=1))
    assert tracks.visible_NT[:2].all()


def test_nearly_frozen_clip_does_not_wander() -> None:
    """Noise makes every frame differ, so that nothing is copied from the frame before."""
    video = clip([line((120, 100), (120, 100), 8)], [(RED, WHITE)])
    noise = np.random.default_rng(0).integers(-6, 7, video.thwc.shape)
    noise[0] = 0
    noisy = Video.from_thwc(np.clip(video.thwc + noise, 0, 255).astype(np.uint8), 8.0)
    tracks = LucasKanade().track(noisy, [[120.0, 100.0]])
    assert np.abs(tracks.tracks_NT2 - [120, 100]).max() < 0.3


def test_full_occlusion_is_reported_and_survived() -> None:
    hidden = line((60, 100), (220, 100), 32)
    cover = line((220, 90), (60, 110), 32)
    video = clip([hidden, cover], [(RED, WHITE), (BLUE, GREEN)])
    tracks = LucasKanade().track(video, [hidden[0], cover[0]])
    apart = np.linalg.norm(hidden - cover, axis=1)
    np.testing.assert_array_equal(tracks.visible_NT[0, apart < 20], False)
    assert tracks.visible_NT[0, apart > 45].all()
    assert tracks.visible_NT[1].all()
    assert np.abs(tracks.tracks_NT2[0] - hidden)[apart > 45].max() < 1.0
    assert np.abs(tracks.tracks_NT2[1] - cover).max() < 1.0
    assert np.abs(tracks.tracks_NT2[0] - hidden).max() < 12.0, "the gap is filled along the line"
    assert tracks.confidence_NT is not None
    assert (tracks.confidence_NT[0, apart < 8] < 0.5).all()


def test_an_object_of_nearly_the_same_colours_does_not_take_over() -> None:
    hidden = line((60, 60), (220, 140), 24)
    cover = line((220, 60), (60, 140), 24)
    video = clip([hidden, cover], [((245, 220, 60), (130, 60, 190)), ((245, 140, 30), (130, 60, 190))])
    tracks = LucasKanade().track(video, [hidden[0], cover[0]])
    assert np.abs(tracks.tracks_NT2[:, -6:] - np.stack([hidden, cover])[:, -6:]).max() < 1.0


def test_an_object_that_vanishes_keeps_its_last_place() -> None:
    path = line((80, 100), (160, 100), 12)
    frames = np.array(clip([path], [(RED, WHITE)]).thwc)
    empty = clip([path * 0 - 500], [(RED, WHITE)]).thwc
    frames[6:] = empty[6:]
    frames[6:, ::7, ::5] += np.arange(6, dtype=np.uint8)[
        :, None, None, None
    ]  # no frame equals the one before
    tracks = LucasKanade().track(Video.from_thwc(frames, 8.0), [path[0]])
    assert tracks.visible_NT[0].tolist() == [True] * 6 + [False] * 6
    np.testing.assert_array_equal(tracks.tracks_NT2[0, 6:], np.repeat(tracks.tracks_NT2[0, 5:6], 6, axis=0))


def test_a_point_without_structure_is_never_visible() -> None:
    path = line((80, 60), (200, 60), 8)
    tracks = LucasKanade().track(clip([path], [(RED, WHITE)]), [[60.0, 170.0]])
    assert not tracks.visible_NT.any()
    np.testing.assert_array_equal(tracks.tracks_NT2[0], np.repeat([[60.0, 170.0]], 8, axis=0))


def test_an_object_that_partly_leaves_the_frame_is_followed() -> None:
    path = line((200, 100), (274, 100), 14)  # the frame is 280 wide, the radius 34
    tracks = LucasKanade().track(clip([path], [(RED, WHITE)]), [path[0]])
    assert tracks.visible_NT.all()
    assert np.abs(tracks.tracks_NT2[0] - path).max() < 1.0


@pytest.mark.parametrize("change", ["fade", "blur", "exposure"])
def test_changing_looks_are_followed(change: str) -> None:
    path = line((60, 60), (210, 150), 24)
    frames = clip([path], [(RED, WHITE)]).thwc.astype(np.float32)
    for t in range(1, 24):
        if change == "fade":
            frames[t] += (120 - frames[t]) * 0.5 * t / 24
        elif change == "blur":
            frames[t] = cv2.GaussianBlur(frames[t], (0, 0), 0.3 + 4 * t / 24)
        else:
            frames[t] = frames[t] * 0.8 + 30
    tracks = LucasKanade().track(Video.from_thwc(np.clip(frames, 0, 255).astype(np.uint8), 8.0), [path[0]])
    assert np.abs(tracks.tracks_NT2[0] - path).mean() < 1.5
    assert tracks.visible_NT.mean() > 0.9


def test_points_do_not_influence_each_other_and_threads_change_nothing() -> None:
    paths = [line((60, 60), (200, 120), 10), line((210, 60), (80, 150), 10)]
    video = clip(paths, [(RED, WHITE), (BLUE, GREEN)])
    queries = np.array([p[0] for p in paths])
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        together = LucasKanade().track(video, queries)
        cv2.setNumThreads(3)
        again = LucasKanade().track(video, queries)
        assert cv2.getNumThreads() == 3, "the tracker leaves the setting alone"
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(together.tracks_NT2, again.tracks_NT2)
    for n in (0, 1):
        alone = LucasKanade().track(video, queries[n : n + 1])
        np.testing.assert_array_equal(alone.tracks_NT2[0], together.tracks_NT2[n])


@pytest.mark.parametrize(("height", "width", "frames"), [(2, 2, 3), (9, 40, 3), (101, 67, 3), (64, 64, 1)])
def test_small_odd_and_single_frames(height: int, width: int, frames: int) -> None:
    rng = np.random.default_rng(1)
    video = Video(rng.integers(0, 256, (frames, 3, height, width), dtype=np.uint8), 8.0)  # memory order TCHW
    tracks = LucasKanade().track(video, [[0.0, 0.0], [width - 1.0, height - 1.0]])
    assert tracks.tracks_NT2.shape == (2, frames, 2)
    assert np.isfinite(tracks.tracks_NT2).all()


def test_options_are_recorded_and_change_the_fingerprint() -> None:
    base = LucasKanade().fingerprint()
    assert json.loads(json.dumps(base)) == base
    names = {f.name for f in dataclasses.fields(LucasKanade)}
    assert names | {"name", "version"} == set(base)
    assert LucasKanade(found_agreement=0.5).fingerprint() != base
    video = clip([line((90, 90), (95, 90), 2)], [(RED, WHITE)])
    info = LucasKanade().track(video, [[90.0, 90.0]]).info
    assert info["followed_as"] == ["object"]
    assert info["opencv"] == cv2.__version__


def test_gaps_are_filled_only_when_asked() -> None:
    hidden = line((60, 100), (220, 100), 32)
    video = clip([hidden, line((220, 100), (60, 100), 32)], [(RED, WHITE), (BLUE, GREEN)])
    filled = LucasKanade().track(video, hidden[:1])
    held = LucasKanade(fill_gaps=False).track(video, hidden[:1])
    np.testing.assert_array_equal(filled.visible_NT, held.visible_NT)
    lost = held.confidence_NT[0] == 0  # type: ignore[index]
    assert lost.any()
    step = np.abs(np.diff(held.tracks_NT2[0], axis=0)).sum(-1)
    assert (step[lost[1:]] == 0).all()
    assert np.abs(filled.tracks_NT2 - hidden).max() < np.abs(held.tracks_NT2 - hidden).max()


def test_queries_are_checked() -> None:
    with pytest.raises(UserError, match="lies outside the 280x200 frame"):
        LucasKanade().track(clip([line((90, 90), (95, 90), 2)], [(RED, WHITE)]), [[280.0, 10.0]])


@pytest.mark.skipif(
    not REAL_VIDEOS, reason="set TORAEVAL_REAL_VIDEOS to the folder of real clips and index.json"
)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["cat.mp4", "paragliding.mp4", "bear.mp4"])
def test_real_clips_agree_with_their_stored_tracks(name: str) -> None:
    from toraeval.video import read_video

    folder = Path(str(REAL_VIDEOS))
    entry = json.loads((folder / "index.json").read_text())["queries"]["files"][name]
    stored = np.load(folder / entry["file"])
    video = read_video(folder / name)
    video = Video(video.frames_TCHW[: entry["frames_used"]], video.fps)
    tracks = LucasKanade().track(video, stored["query_xy"])
    distance = np.linalg.norm(tracks.tracks_NT2.transpose(1, 0, 2) - stored["lk_tracks_tnxy"], axis=-1)[1:]
    assert np.median(distance) <= 2.0  # the tolerance that the index states for 480p
    assert distance.max() <= 6.0


def test_a_lost_object_is_found_again_far_away_whatever_its_size() -> None:
    """Large objects are looked for coarse to fine, small ones at one scale."""
    for radius in (14, 60):
        frames = np.full((6, 300, 400, 3), (128, 130, 120), np.uint8)
        places = [(90, 90), (90, 90), None, None, (301, 202), (301, 202)]
        for frame, place in zip(frames, places, strict=True):
            if place is not None:
                cv2.circle(frame, place, radius, (200, 40, 40), cv2.FILLED, cv2.LINE_AA)
                cv2.circle(frame, place, radius // 2, (40, 60, 220), cv2.FILLED, cv2.LINE_AA)
        tracks = LucasKanade().track(Video.from_thwc(frames, 8.0), [[90.0, 90.0]])
        assert list(tracks.visible_NT[0]) == [True, True, False, False, True, True], radius
        np.testing.assert_allclose(tracks.tracks_NT2[0, -1], (301, 202), atol=0.3)
