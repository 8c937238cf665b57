"""FVD: features of one sample, pooling, invariances, cache, skips and errors; all with random weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from toraeval.metrics.fvd import FVD
from toraeval.metrics.shared import video_features
from toraeval.metrics.shared.frames import Preparation
from toraeval.metrics.shared.set_distances import distance_of_sets, kernel_distance
from toraeval.types import Case, MissingAsset, Reference, Trajectories, UserError, Video

SIDE = 64


def clip(seed, frames=20, side=SIDE):
    rng = np.random.default_rng(seed)
    smooth = rng.integers(0, 256, (frames, 4, 4, 3)).repeat(side // 4, 1).repeat(side // 4, 2)
    return Video.from_thwc(smooth.astype(np.uint8), 8.0)


def case(number, frames=20, reference=True, side=SIDE):
    path = Trajectories(np.full((1, frames, 2), 9.0), np.ones((1, frames), bool), (side, side))
    truth = clip(number, frames, side)
    return Case(
        f"c{number}", "test-v1", "", path, frames, side, side, 8.0, 0, content_hash=f"hash{number}{frames}",
        reference=(lambda: Reference(truth)) if reference else None,
    )  # fmt: skip


@pytest.fixture
def metric():
    return FVD(backbone="random", min_videos=3, resamples=10)


@pytest.fixture(scope="module")
def contributions():
    metric = FVD(backbone="random")
    return {f"c{k}": metric.score(case(k), None, clip(100 + k)).arrays for k in range(8)}


def test_set_value_is_the_distance_of_all_clips(metric, contributions):
    score = metric.pool(contributions)
    first = [arrays["features"] for arrays in contributions.values()]
    second = [arrays["reference_features"] for arrays in contributions.values()]
    assert score.values["fvd_random"] == pytest.approx(distance_of_sets(first, second), rel=1e-9)
    expected = kernel_distance(np.concatenate(first), np.concatenate(second))
    assert score.values["kvd_random"] == pytest.approx(expected, rel=1e-9)
    assert score.values["fvd_random_videos"] == 8
    assert score.values["fvd_random_clips"] == 8
    assert score.values["fvd_random_low"] < score.values["fvd_random_high"]
    assert set(score.values) <= set(metric.definition()["columns"])


def test_order_of_samples_changes_no_bit(metric, contributions):
    backwards = dict(reversed(contributions.items()))
    assert metric.pool(backwards).values == metric.pool(contributions).values


def test_ground_truth_scores_zero(metric, contributions):
    same = {k: {"features": a["reference_features"], "reference_features": a["reference_features"]}
            for k, a in contributions.items()}  # fmt: skip
    values = metric.pool(same).values
    assert values["fvd_random"] == values["fvd_random_low"] == values["fvd_random_high"] == 0


def test_seeds_of_a_case_share_its_reference(metric, contributions):
    twice = contributions | {f"{name}.seed1": arrays for name, arrays in contributions.items()}
    first = [arrays["features"] for arrays in contributions.values()] * 2
    second = [arrays["reference_features"] for arrays in contributions.values()]
    score = metric.pool(twice)
    assert score.values["fvd_random"] == pytest.approx(distance_of_sets(first, second), rel=1e-9)
    assert score.values["fvd_random_videos"] == 16


def test_too_few_videos_are_a_skip(metric, contributions):
    few = {name: contributions[name] for name in ("c0", "c1")}
    assert "2 videos with features" in metric.pool(few).skipped
    assert "0 videos" in metric.pool({}).skipped
    shared = {name: contributions["c0"] for name in ("a", "b", "c")}
    assert "share one reference" in metric.pool(shared).skipped


def test_long_videos_give_several_clips_and_each_one_is_its_own(metric):
    long = clip(7, 50)
    features = metric.score(case(7, 50), None, long).arrays["features"]
    assert features.shape == (3, 64)
    second = Video.from_thwc(long.thwc[16:32], 8.0)
    alone = metric.score(case(7, 16), None, second).arrays["features"]
    assert np.array_equal(alone[0], features[1])
    overlapping = FVD(backbone="random", clip_stride=8).score(case(7, 50), None, long).arrays["features"]
    assert np.array_equal(overlapping[::2], features)


def test_number_of_threads_changes_no_bit(metric):
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(metric.score(case(3), None, clip(4)).arrays["features"])
        assert torch.get_num_threads() == threads
    assert np.array_equal(*results)


def test_what_gives_no_features_is_a_skip_with_its_reason(metric):
    assert "no reference" in metric.score(case(1, reference=False), None, clip(1)).skipped
    assert "15 frames" in metric.score(case(1, 15), None, clip(1, 15)).skipped
    assert "1 frame, a clip" in metric.score(case(1, 1), None, clip(1, 1)).skipped
    assert "no video" in metric.score(case(1), None, None).skipped
    with pytest.raises(UserError, match="expected"):
        metric.score(case(1), None, clip(1, 19))


def test_constant_videos_are_scored(metric):
    grey = Video.from_thwc(np.full((16, SIDE, SIDE, 3), 128, np.uint8), 8.0)
    arrays = {f"c{k}": metric.score(case(k, 16), None, grey).arrays for k in range(3)}
    assert metric.pool(arrays).values["fvd_random"] > 0


def test_reference_features_are_kept_for_all_models(tmp_path, monkeypatch):
    renders = []

    def render():
        renders.append(1)
        return Reference(clip(5))

    counted = replace(case(5), reference=render)
    first = FVD(backbone="random", cache=str(tmp_path)).score(counted, None, clip(6))
    again = replace(counted, reference=lambda: pytest.fail("rendered again"))
    second = FVD(backbone="random", cache=str(tmp_path)).score(again, None, clip(8))
    assert len(renders) == 1
    assert np.array_equal(first.arrays["reference_features"], second.arrays["reference_features"])
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"broken")
    third = FVD(backbone="random", cache=str(tmp_path)).score(counted, None, clip(8))
    assert np.array_equal(third.arrays["reference_features"], first.arrays["reference_features"])
    FVD(backbone="random", clip_stride=4, cache=str(tmp_path)).score(counted, None, clip(8))
    assert len(list(tmp_path.iterdir())) == 2


def test_options_and_recipe_stand_in_the_fingerprint():
    prints = [FVD(backbone="random").fingerprint(), FVD(backbone="random", clip_stride=8).fingerprint()]
    assert prints[0] != prints[1]
    assert prints[0] == FVD(backbone="random", cache="elsewhere").fingerprint()
    assert prints[0]["recipe"]["prepare"]["side"] == 128


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "c3d"}, "allowed: shapes, random, i3d, videomae"),
        ({"min_videos": 1}, "min_videos=1"),
        ({"clip_stride": 0}, "clip_stride=0"),
        ({"device": "tpu"}, "allowed: cpu, cuda"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        FVD(**options)


@pytest.mark.parametrize(
    ("backbone", "command"),
    [
        ("i3d", "fetch fvd_i3d"),
        ("videomae", "fetch fvd_videomae"),
        ("shapes", "toraeval train model=shapes_video"),
    ],
)
def test_missing_weights_name_the_command(backbone, command, tmp_path, monkeypatch):
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    monkeypatch.setattr(video_features.shipped, "WEIGHTS", tmp_path)
    for ask in (
        lambda m: m.score(case(1), None, clip(1)),
        lambda m: m.fingerprint(),
    ):
        with pytest.raises(MissingAsset, match=command):
            ask(FVD(backbone=backbone))


class TinyI3D(nn.Module):
    """Speaks like the published TorchScript file: B C T H W in, features out."""

    def forward(
        self, x: torch.Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False
    ) -> torch.Tensor:
        assert not rescale
        assert not resize
        assert return_features
        return torch.cat([x.mean((2, 3, 4)), x.amax((2, 3, 4)), x[:, :, :, 0, 0].std(2)], 1)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_backbone_gets_clips_as_its_recipe_says(tmp_path):
    file = tmp_path / "i3d.pt"
    torch.jit.script(TinyI3D()).save(str(file))
    metric = FVD(backbone="i3d", weights=str(file))
    wide = np.zeros((16, 40, 80, 3), np.uint8)
    wide[:, :, 20:60] = 255  # exactly what the centre crop keeps
    path = Trajectories(np.full((1, 16, 2), 9.0), np.ones((1, 16), bool), (80, 40))
    video = Video.from_thwc(wide, 8.0)
    wide_case = replace(
        case(1, 16), trajectories=path, width=80, height=40, reference=lambda: Reference(video)
    )
    features = metric.score(wide_case, None, video).arrays["features"]
    assert features.shape == (1, 9)
    np.testing.assert_allclose(features[0, 3:6], 1.0)
    np.testing.assert_allclose(features[0, :3], 1.0, atol=0.02)
    file.write_bytes(b"no script")
    with pytest.raises(UserError, match="not a TorchScript file"):
        FVD(backbone="i3d", weights=str(file)).score(wide_case, None, video)


def test_preparation_keeps_plain_colours_and_squashes_or_crops():
    frames = np.zeros((3, 3, 30, 60), np.uint8)
    frames[:, 0] = 255
    for fit in ("squash", "crop"):
        out = Preparation(16, fit, "bicubic", True)(frames)
        assert out.shape == (3, 3, 16, 16)
        torch.testing.assert_close(out[:, 0], torch.ones(3, 16, 16))
        torch.testing.assert_close(out[:, 1:], -torch.ones(3, 2, 16, 16))
    frames[:, :, :, :15] = 128
    assert (Preparation(30, "crop", "bilinear", False)(frames)[:, 0] == 1).all()
    assert (Preparation(30, "squash", "bilinear", False)(frames)[:, 0] < 0.1).any()


@pytest.mark.parametrize(
    ("fit", "filter_", "antialias"), [("squash", "bilinear", True), ("crop", "bicubic", False)]
)
def test_metrics_share_what_was_prepared_of_a_clip(fit, filter_, antialias):
    rng = np.random.default_rng(0)
    clips = [Video.from_thwc(rng.integers(0, 256, (4, 37, 53, 3), dtype=np.uint8), 8.0) for _ in range(2)]
    recipe = Preparation(16, fit, filter_, antialias)
    for clip in clips:
        torch.testing.assert_close(recipe.of(clip, [3, 1]), recipe(clip.frames_TCHW)[[3, 1]], rtol=0, atol=0)
        assert recipe.of(clip, [1])[0].equal(recipe.of(clip, [0, 1])[1])
    # torch's own batch of pictures with the channels first is resized to the same numbers
    frames = torch.from_numpy(np.ascontiguousarray(clips[0].frames_TCHW)).float()
    size = (16, 16) if fit == "squash" else (16, 23)
    plain = torch.nn.functional.interpolate(
        frames, size, mode=filter_, antialias=antialias, align_corners=False
    )
    left = (size[1] - 16) // 2
    expected = (plain[..., left : left + 16].clamp(0, 255) / 255 - 0.5) / 0.5
    torch.testing.assert_close(recipe(clips[0].frames_TCHW), expected, rtol=0, atol=1e-6)
