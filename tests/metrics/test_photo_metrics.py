"""Metrics on the classifier of photographs: what they order, what they remember, what they skip."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from toraeval.metrics.class_kept import ClassKept
from toraeval.metrics.fid import FID
from toraeval.metrics.fvd import FVD
from toraeval.metrics.lpips import LPIPS
from toraeval.metrics.shared import frame_features
from toraeval.metrics.shared.frame_features import FrameFeatures, changes
from toraeval.types import Case, Reference, Trajectories, UserError, Video

SIDE, FRAMES = 48, 16


def texture(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (12, 24, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)


def panned(seed, speed=2):
    """A window that moves over a texture."""
    picture = texture(seed)
    return np.stack([picture[:, speed * t : speed * t + SIDE] for t in range(FRAMES)])


def case(number, frames_THWC):
    truth = Video.from_thwc(frames_THWC, 8.0)
    t = len(frames_THWC)
    path = Trajectories(np.full((1, t, 2), 9.0), np.ones((1, t), bool), (SIDE, SIDE))
    return Case(
        f"c{number}", "test-v1", "", path, t, SIDE, SIDE, 8.0, 0, content_hash=f"h{number}{t}",
        reference=lambda: Reference(truth),
    )  # fmt: skip


CONDITIONS = {
    "clean": lambda frames, rng: frames,
    "frozen": lambda frames, rng: np.repeat(frames[:1], len(frames), 0),
    "shuffled": lambda frames, rng: frames[np.concatenate([[0], 1 + rng.permutation(len(frames) - 1)])],
    "half_speed": lambda frames, rng: frames[np.arange(len(frames)) // 2],
    "noise": lambda frames, rng: np.clip(frames + rng.normal(0, 40, frames.shape), 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def contributions():
    metric = FVD(backbone="efficientnet_lite0", resamples=0, min_videos=2)
    found = {}
    for name, spoil in CONDITIONS.items():
        found[name] = {
            f"c{k}": metric.score(
                case(k, panned(k)), None, Video.from_thwc(spoil(panned(k), np.random.default_rng(k)), 8.0)
            ).arrays
            for k in range(2)
        }
    return found


def test_the_temporal_part_sees_a_frozen_video_and_the_frame_part_names_itself(contributions):
    metric = FVD(backbone="efficientnet_lite0", resamples=0, min_videos=2)
    values = {name: metric.pool(sets).values for name, sets in contributions.items()}
    time = {name: v["fvd_efficientnet_lite0_time"] for name, v in values.items()}
    assert time["clean"] == values["clean"]["fvd_efficientnet_lite0_frame"] == 0
    assert max(time, key=time.__getitem__) == "frozen"
    assert min(time["shuffled"], time["half_speed"], time["noise"]) > 0
    assert not {"fvd_efficientnet_lite0", "fvd_shapes"} & set(values["clean"])
    assert set(values["frozen"]) <= set(metric.definition()["columns"])


def test_one_clip_is_taken_of_a_whole_video_whatever_its_length():
    metric = FVD(backbone="efficientnet_lite0")
    frames = np.concatenate([panned(1), panned(2)])
    arrays = metric.score(case(1, frames), None, Video.from_thwc(frames, 8.0)).arrays
    assert arrays["features"].shape == (1, 1280 + 128)
    short = metric.score(case(1, frames[:15]), None, Video.from_thwc(frames[:15], 8.0))
    assert "15 frames" in short.skipped
    with pytest.raises(UserError, match="has no stride"):
        FVD(backbone="efficientnet_lite0", clip_stride=8)


def test_changes_are_symmetric_in_speed_and_farthest_for_what_stands_still():
    walk = np.random.default_rng(0).normal(size=(9, 60)).cumsum(0)
    normal, fast, slow, still = (changes(walk * factor) for factor in (1, 2, 0.5, 0))
    far = [np.linalg.norm(each - normal) for each in (fast, slow, still)]
    assert far[0] == pytest.approx(far[1], rel=0.05)
    assert far[2] > 3 * far[1]


def test_fid_is_blind_to_the_order_of_frames_and_zero_for_equal_sets():
    metric = FID(min_videos=2, resamples=4)
    clean, mixed, noisy = ({} for _ in range(3))
    for k in range(2):
        frames = panned(k)
        for name, kept in (("clean", clean), ("shuffled", mixed), ("noise", noisy)):
            spoilt = CONDITIONS[name](frames, np.random.default_rng(k))  # pictures that are known already
            kept[f"c{k}"] = metric.score(case(k, frames), None, Video.from_thwc(spoilt, 8.0)).arrays
    values = [metric.pool(sets).values for sets in (clean, mixed, noisy)]
    assert values[0]["fid_efficientnet_lite0"] == 0
    assert values[1]["fid_efficientnet_lite0"] < 1e-6 * values[2]["fid_efficientnet_lite0"]
    assert "fid_efficientnet_lite0_low" not in values[2]  # two cases are too few for an interval
    assert values[0]["fid_efficientnet_lite0_frames"] == 30
    assert set(values[2]) <= set(metric.definition()["columns"])
    assert "needs 8" in FID().pool(clean).skipped


def test_a_frozen_video_keeps_its_class_and_the_reference_says_what_it_should_be():
    metric = ClassKept()
    frames = np.concatenate([panned(1)[:8], panned(5)[:8]])
    values = metric.score(case(1, frames), None, Video.from_thwc(frames, 8.0)).values
    assert values["class_kept_efficientnet_lite0_reference"] == 1
    frozen = Video.from_thwc(np.repeat(frames[:1], 16, 0), 8.0)
    still = metric.score(case(1, frames), None, frozen).values
    assert still["class_kept_efficientnet_lite0"] == 1
    assert 0 < still["class_kept_efficientnet_lite0_confidence"] <= 1
    bare = Case(**{**vars(case(1, frames)), "reference": None})
    assert "class_kept_efficientnet_lite0_reference" not in metric.score(bare, None, frozen).values


def test_lpips_of_this_backbone_has_uniform_weights_and_says_so():
    metric = LPIPS(backbone="efficientnet_lite0", max_frames=2)
    frames = panned(3)
    clean = metric.score(case(3, frames), None, Video.from_thwc(frames, 8.0)).values
    frozen = metric.score(case(3, frames), None, Video.from_thwc(frames[:1].repeat(16, 0), 8.0)).values
    assert clean["lpips_efficientnet_lite0"] == 0 < frozen["lpips_efficientnet_lite0"]
    assert "uniform weights (not learned)" in metric.definition()["source"]


@pytest.fixture
def computed(monkeypatch):
    """How many pictures pass the network, each time that some do; nothing is known of any before."""
    found, inner = [], FrameFeatures._computed
    monkeypatch.setattr(FrameFeatures, "_computed", lambda self, x: (found.append(len(x)), inner(self, x))[1])
    forget(monkeypatch)
    return found


def forget(monkeypatch):
    for memory in ("_features", "_maps"):
        monkeypatch.setattr(frame_features, memory, frame_features.Memory(32))


def test_a_picture_is_computed_once_and_its_features_depend_on_it_alone(computed, monkeypatch):
    extractor = FrameFeatures()
    frames = panned(4).transpose(0, 3, 1, 2)
    together = extractor(frames[[0, 1, 0, 2]])
    assert computed == [3]
    np.testing.assert_array_equal(together[0], together[2])
    alone = extractor(frames[[2]])
    assert computed == [3]
    forget(monkeypatch)
    np.testing.assert_array_equal(extractor(frames[[2]]), alone)


def test_lpips_looks_at_the_maps_that_the_features_came_from(computed):
    frames = panned(4)
    spoilt = CONDITIONS["noise"](frames, np.random.default_rng(4))
    found = {}
    for name in ("fvd", "lpips"):  # both of one clip
        video = found.setdefault("video", Video.from_thwc(spoilt, 8.0))
        options = {"max_frames": 4} if name == "lpips" else {}
        metric = {"fvd": FVD, "lpips": LPIPS}[name](backbone="efficientnet_lite0", **options)
        found[name] = metric.score(case(4, frames), None, video)
    assert sum(computed) == 2 * FRAMES, "16 frames of the clip and 16 of the reference pass the network once"
    computed.clear()
    alone = LPIPS(backbone="efficientnet_lite0", max_frames=4)
    assert alone.score(case(4, frames), None, video).values == found["lpips"].values


def test_threads_that_ask_at_once_get_the_features_of_their_own_pictures(computed):
    extractor, clips = FrameFeatures(), [Video.from_thwc(panned(k)[:4], 8.0) for k in range(3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(extractor.of_frames, clips * 4, [np.arange(4)] * 12))
    for k, features in enumerate(together):
        np.testing.assert_array_equal(features, extractor(clips[k % 3].frames_TCHW))


def test_no_more_pictures_are_remembered_than_fit():
    memory = frame_features.Memory(2)
    memory.add({("", b"a"): 1, ("", b"b"): 2})
    assert memory.known([("", b"a")]) == {("", b"a"): 1}
    memory.add({("", b"c"): 3})
    assert set(memory.known([("", key) for key in (b"a", b"b", b"c")])) == {("", b"a"), ("", b"c")}
