"""CLIPSIM: both backbones with random weights, scale, truncation, invariances, skips and errors."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from toraeval.metrics.clipsim import RECIPES, ClipSim
from toraeval.metrics.shared.networks import shipped
from toraeval.metrics.shared.networks.dual_encoder import DualEncoder
from toraeval.models.shared.weight_files import write_safetensors
from toraeval.training.data.metric_net_data import vocabulary
from toraeval.types import Case, MissingAsset, Trajectories, UserError, Video

PROMPT = "a red circle with a blue disc moves over a grey background"


def make_case(frames=12, prompt=PROMPT):
    path = Trajectories(np.full((1, frames, 2), 5.0), np.ones((1, frames), bool), (48, 32))
    return Case("c", "test-v1", prompt, path, frames, 32, 48, 8.0, 0)


def clip(frames=12, seed=0):
    rng = np.random.default_rng(seed)
    return Video.from_thwc(rng.integers(0, 256, (frames, 32, 48, 3), dtype=np.uint8), 8.0)


def write_weights(folder, words=None, version=shipped.NET_VERSION):
    torch.manual_seed(0)
    network = DualEncoder(words or vocabulary())
    card = {"net": "clip", "net_version": version, "words": words or vocabulary()}
    return write_safetensors(folder / "clip.safetensors", network.state_dict(), card)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def metric(weights):
    return ClipSim(weights=str(weights))


def test_value_is_the_mean_cosine_times_100(metric, weights):
    video = clip()
    score = metric.score(make_case(), None, video)
    network = shipped.load("clip", weights)
    with torch.no_grad():
        image = network.image(RECIPES["shapes"](video.frames_TCHW))
        text = network.caption(network.numbers(PROMPT))
    expected = 100 * (image @ text.T)[:, 0].numpy()
    np.testing.assert_allclose(score.arrays["clipsim_T"], expected, atol=1e-4)
    assert score.values["clipsim_shapes"] == pytest.approx(expected.mean(), abs=1e-4)
    assert score.values["clipsim_shapes_tokens"] == 9
    assert score.values["clipsim_shapes_truncated"] == 0
    assert set(score.values) == set(metric.definition()["columns"])


def test_length_of_the_clip_and_threads_change_no_bit(metric):
    video = clip()
    whole = metric.score(make_case(), None, video).arrays["clipsim_T"]
    for frames in (1, 4, 11):
        part = Video.from_thwc(video.thwc[:frames], 8.0)
        assert np.array_equal(metric.score(make_case(frames), None, part).arrays["clipsim_T"], whole[:frames])
    torch.set_num_threads(2)
    assert np.array_equal(metric.score(make_case(), None, video).arrays["clipsim_T"], whole)


def test_long_clips_are_sampled_from_end_to_end(weights):
    score = ClipSim(weights=str(weights), max_frames=5).score(make_case(41), None, clip(41))
    assert np.flatnonzero(np.isfinite(score.arrays["clipsim_T"])).tolist() == [0, 10, 20, 30, 40]


def test_long_prompts_are_cut_and_it_is_said(metric):
    long = " and ".join([PROMPT] * 5)
    score = metric.score(make_case(prompt=long), None, clip())
    assert score.values["clipsim_shapes_truncated"] == 1
    assert score.values["clipsim_shapes_tokens"] > 40


def test_skips_and_errors(metric, tmp_path, monkeypatch):
    assert "no prompt" in metric.score(make_case(prompt=" "), None, clip()).skipped
    assert "no video" in metric.score(make_case(), None, None).skipped
    with pytest.raises(UserError, match="expected"):
        metric.score(make_case(), None, clip(3))
    for options in ({"backbone": "vit_l14"}, {"max_frames": 0}, {"device": "tpu"}):
        with pytest.raises(UserError, match="clipsim: "):
            ClipSim(**options)
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "none")
    for backbone, command in (
        ("shapes", "train model=shapes_clip"),
        ("clip_vit_b32", "toraeval fetch clip_vit_b32"),
    ):
        lacking = ClipSim(backbone)
        for ask in (lacking.fingerprint, lambda lacking=lacking: lacking.score(make_case(), None, clip())):
            with pytest.raises(MissingAsset, match=command):
                ask()


def test_weights_of_another_version_or_damaged_are_refused(tmp_path):
    file = write_weights(tmp_path, version="0")
    with pytest.raises(UserError, match="version 0"):
        ClipSim(weights=str(file)).score(make_case(), None, clip())
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="make it again"):
        ClipSim(weights=str(file)).score(make_case(), None, clip())


@pytest.fixture
def clip_folder(tmp_path):
    """A CLIP of the published layout with small random weights and a vocabulary of letters."""
    transformers = pytest.importorskip("transformers")
    letters = [chr(k) for k in range(97, 123)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    text = {"vocab_size": len(words), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 77, "bos_token_id": len(words) - 2,
            "eos_token_id": len(words) - 1}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 224, "patch_size": 32}  # fmt: skip
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    return tmp_path


def test_clip_through_transformers(clip_folder):
    transformers = pytest.importorskip("transformers")
    metric = ClipSim("clip_vit_b32", weights=str(clip_folder), max_frames=4)
    video = clip(4)
    score = metric.score(make_case(4), None, video)
    model = transformers.CLIPModel.from_pretrained(clip_folder).eval()
    tokens = transformers.CLIPTokenizer.from_pretrained(clip_folder)(PROMPT, return_tensors="pt")
    with torch.no_grad():
        out = model(pixel_values=RECIPES["clip_vit_b32"](video.frames_TCHW), **tokens)
        expected = 100 * out.logits_per_image[:, 0] / model.logit_scale.exp()
    np.testing.assert_allclose(score.arrays["clipsim_T"], expected.numpy(), atol=1e-3)
    assert score.values["clipsim_clip_vit_b32_tokens"] == tokens["input_ids"].shape[1]
    assert score.values["clipsim_clip_vit_b32_truncated"] == 0
    long = metric.score(replace(make_case(4), prompt=PROMPT * 4), None, video)
    assert long.values["clipsim_clip_vit_b32_truncated"] == 1
    (clip_folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds no CLIP"):
        ClipSim("clip_vit_b32", weights=str(clip_folder)).score(make_case(4), None, video)
    with pytest.raises(MissingAsset, match="is not a folder"):
        ClipSim("clip_vit_b32", weights=str(clip_folder / "none")).score(make_case(4), None, video)
