"""PSNR, SSIM and LPIPS: reference values, packages as cross-check, skips, invariances and errors."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from toraeval.metrics.lpips import LPIPS
from toraeval.metrics.pictures import PSNR, SSIM, psnr, ssim
from toraeval.metrics.shared.networks import perceptual, shipped
from toraeval.metrics.shared.networks.dual_encoder import DualEncoder
from toraeval.models.shared.weight_files import write_safetensors
from toraeval.optional import MissingDependency
from toraeval.types import Case, MissingAsset, Reference, Trajectories, UserError, Video


def make_case(truth):
    frames, height, width = truth.shape[:3]
    path = Trajectories(np.full((1, frames, 2), 5.0), np.ones((1, frames), bool), (width, height))
    video = Video.from_thwc(truth, 8.0)
    return Case("c", "test-v1", "a red square", path, frames, height, width, 8.0, 0,
                reference=lambda: Reference(video))  # fmt: skip


def noise(seed, frames=5, height=32, width=40):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (frames, height // 8, width // 8, 3)).repeat(8, 1).repeat(8, 2)
    return (coarse + rng.integers(-20, 20, coarse.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def shapes_weights(tmp_path_factory):
    words = ["<pad>", "<unk>", "red", "square"]
    torch.manual_seed(0)
    card = {"net": "clip", "net_version": shipped.NET_VERSION, "words": words}
    file = tmp_path_factory.mktemp("weights") / "clip.safetensors"
    return str(write_safetensors(file, DualEncoder(words).state_dict(), card))


@pytest.fixture(scope="module")
def alex_weights(tmp_path_factory):
    """The file of torchvision's AlexNet, in shape: random convolutions and a classifier that nobody needs."""
    torch.manual_seed(0)
    state = perceptual.Features("alex").state_dict() | {"classifier.1.weight": torch.zeros(3, 3)}
    file = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(state, file)
    return str(file)


@pytest.mark.parametrize("name", ["a", "b"])
def test_reference_values(data_dir, name):
    golden = json.loads((data_dir / "metrics" / "image_golden.json").read_text())["cases"][name]
    with np.load(data_dir / "metrics" / "image_golden.npz") as stored:
        pairs = list(zip(stored[f"{name}__gen_thwc_u8"], stored[f"{name}__ref_thwc_u8"], strict=True))
    assert [psnr(*pair) for pair in pairs] == pytest.approx(golden["psnr_per_frame"], rel=1e-6)
    assert [ssim(*pair) for pair in pairs] == pytest.approx(golden["ssim_per_frame"], rel=1e-5)


def test_learned_distance_is_that_of_torchmetrics(alex_weights):
    """Their network, our weights: the same numbers."""
    module = pytest.importorskip("torchmetrics.functional.image.lpips")
    assert pytest.approx(module.ScalingLayer().shift.flatten().tolist()) == perceptual.SHIFT
    assert pytest.approx(module.ScalingLayer().scale.flatten().tolist()) == perceptual.SCALE
    ours = perceptual.load("alex", alex_weights)
    first, second = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    expected = torch.zeros(2)
    heads = torch.load(perceptual.heads_file("alex"), map_location="cpu", weights_only=True)
    maps = [ours.network.maps(x) for x in (first, second)]
    assert [m.shape[1] for m in maps[0]] == [64, 192, 384, 256, 256]
    for number, (a, b) in enumerate(zip(*maps, strict=True)):
        apart = (module._normalize_tensor(a) - module._normalize_tensor(b)) ** 2
        weighted = torch.nn.functional.conv2d(apart, heads[f"lin{number}.model.1.weight"])
        expected += module._spatial_average(weighted).flatten()
    torch.testing.assert_close(ours(first, second), expected, rtol=1e-4, atol=1e-6)


def test_vgg_has_the_published_layers():
    network = perceptual.Features("vgg")
    assert network.channels == [64, 128, 256, 512, 512]
    assert sum(p.numel() for p in network.parameters()) == 14_714_688
    assert sum(p.numel() for p in perceptual.Features("alex").parameters()) == 2_469_696


def metrics(shapes_weights, alex_weights):
    return {
        "psnr": PSNR(), "ssim": SSIM(), "lpips_shapes": LPIPS(weights=shapes_weights),
        "lpips_alex": LPIPS("alex", alex_weights),
    }  # fmt: skip


def test_equal_clips_get_the_best_value_and_worse_ones_a_worse_one(shapes_weights, alex_weights):
    truth = noise(0, height=64, width=64)
    blend = (0.7 * truth + 0.3 * noise(9, height=64, width=64)).astype(np.uint8)
    best = {"psnr": 100.0, "ssim": 1.0, "lpips_shapes": 0.0, "lpips_alex": 0.0}
    for name, metric in metrics(shapes_weights, alex_weights).items():
        case = make_case(truth)
        values = [metric.score(case, None, Video.from_thwc(clip, 8.0)).values[name]
                  for clip in (truth, blend, noise(9, height=64, width=64))]  # fmt: skip
        assert values[0] == pytest.approx(best[name], abs=1e-6)
        ordered = sorted(values, reverse=metric.direction == "higher")
        assert values == ordered
        assert values[0] != values[1] != values[2]
        assert name in metric.definition()["columns"]


def test_frame_0_is_left_out_and_a_long_clip_is_sampled(shapes_weights, alex_weights):
    truth = noise(0, 40, 64, 64)
    spoilt = truth.copy()
    spoilt[0] = 0
    for name, metric in metrics(shapes_weights, alex_weights).items():
        score = metric.score(make_case(truth), None, Video.from_thwc(spoilt, 8.0))
        per_frame = score.arrays[f"{metric.name}_T"]
        assert np.isnan(per_frame[0])
        assert np.isfinite(per_frame).sum() == 16
        assert np.isfinite(per_frame[[1, -1]]).all()
        assert score.values[name] == pytest.approx({"psnr": 100, "ssim": 1}.get(name, 0), abs=1e-6)


def test_other_frames_change_no_bit_of_a_frame(shapes_weights, alex_weights):
    truth, clip = noise(0, 12, 64, 64), noise(1, 12, 64, 64)
    for metric in metrics(shapes_weights, alex_weights).values():
        whole = metric.score(make_case(truth), None, Video.from_thwc(clip, 8.0)).arrays[f"{metric.name}_T"]
        part = metric.score(make_case(truth[:4]), None, Video.from_thwc(clip[:4], 8.0))
        assert np.array_equal(whole[1:4], part.arrays[f"{metric.name}_T"][1:])


def test_what_cannot_be_compared_is_a_skip_with_its_reason(shapes_weights, alex_weights):
    truth = noise(0)
    for metric in metrics(shapes_weights, alex_weights).values():
        case = make_case(truth)
        assert "no video" in metric.score(case, None, None).skipped
        alone = replace(case, reference=None)
        assert "no reference" in metric.score(alone, None, Video.from_thwc(truth, 8.0)).skipped
        one = make_case(truth[:1])
        assert "1 frame" in metric.score(one, None, Video.from_thwc(truth[:1], 8.0)).skipped
        with pytest.raises(UserError, match="expected"):
            metric.score(case, None, Video.from_thwc(truth[:3], 8.0))
    small = make_case(noise(0, 3, 8, 8))
    assert "smaller than the window" in SSIM().score(small, None, small.reference().video).skipped


def test_impossible_options_and_missing_parts_name_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    case = make_case(noise(0, 3, 64, 64))
    video = Video.from_thwc(noise(1, 3, 64, 64), 8.0)
    for options in ({"backbone": "squeeze"}, {"max_frames": 0}, {"implementation": "lpips"}, {"device": "x"}):
        with pytest.raises(UserError, match="lpips: "):
            LPIPS(**options)
    for metric in (PSNR, SSIM):
        with pytest.raises(UserError, match="max_frames=0"):
            metric(max_frames=0)
    with pytest.raises(MissingAsset, match="toraeval fetch lpips_vgg"):
        LPIPS("vgg").score(case, None, video)
    with pytest.raises(MissingAsset, match="toraeval fetch lpips_vgg"):
        LPIPS("vgg").fingerprint()
    for implementation in ("lpips", "torchmetrics"):
        with pytest.raises(MissingDependency, match="needs the package"):
            LPIPS("alex", implementation=implementation).score(case, None, video)
    broken = tmp_path / "alexnet.pth"
    broken.write_bytes(b"none")
    with pytest.raises(UserError, match="toraeval fetch lpips_alex"):
        LPIPS("alex", str(broken)).score(case, None, video)
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    with pytest.raises(MissingAsset, match="train model=shapes_clip"):
        LPIPS().score(case, None, video)
