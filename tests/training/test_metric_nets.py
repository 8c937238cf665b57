"""Training of the embedded metric networks: truth of the data, defects, resuming, export."""

import json

import numpy as np
import pytest
import torch

from tests.training.conftest import interrupted
from toraeval.config.trainings import ClipNetOptions, PairNetOptions
from toraeval.metrics.shared.networks import shipped
from toraeval.metrics.shared.networks.dual_encoder import split_words
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import COLOURS, SHAPES, sample_scene
from toraeval.training.data import metric_net_data as data
from toraeval.training.engine.parts import Counters
from toraeval.training.recipes import metric_nets
from toraeval.training.recipes.small_nets import CosineRecipe
from toraeval.types import MissingAsset, UserError


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    pool = data.Pool(tmp_path_factory.mktemp("pool"), "video", 4, 64)
    pool.fill()
    return pool


def test_labels_tell_what_the_caption_tells(pool):
    for facts in pool.facts:
        words = split_words(facts["caption"])
        for place, there in enumerate(facts["looks"]):
            shape, colour = SHAPES[place // len(COLOURS)], list(COLOURS)[place % len(COLOURS)]
            assert bool(there) == (f"{colour} {shape}" in " ".join(words))
        assert sum(facts["looks"]) == facts["count"] + 1
        assert data.BACKGROUND_NAMES[facts["background"]] in words
        assert facts["drift"] == 0 or data.DRIFT_NAMES[facts["drift"]] == words[-1]


def test_stored_clip_is_the_scene_made_small(pool):
    scene = sample_scene("train", data.FIRST_SCENE)
    start = (np.array(pool.facts[0]["motion"][:2]) + 1) * 256
    small = SceneRenderer(scene, 16, 64, 64)
    assert np.abs(small.background(0).astype(int) - pool.frames[0][16]).mean() < (20 if scene.drift else 2)
    x, y = (start / 8).astype(int)
    disc = np.array(COLOURS[scene.objects[0].disc])
    if len(scene.objects) == 1:
        assert np.abs(pool.frames[0][0, y, x].astype(int) - disc).max() < 40


def test_every_word_of_the_world_is_known():
    known = set(data.vocabulary())
    for index in range(60):
        assert set(split_words(sample_scene("train", index).caption)) <= known


@pytest.mark.parametrize("kind", data.DEFECTS)
def test_defects_change_a_clip_and_keep_its_range(pool, kind):
    stored = torch.from_numpy(np.array(pool.frames[0])).permute(0, 3, 1, 2).float() / 127.5 - 1
    clip, empty = stored[:16], stored[16]
    changes = []
    for strength in (0.3, 1.0):
        spoilt = data.spoil(clip, empty, kind, strength, np.random.default_rng(0))
        assert spoilt.shape == clip.shape
        assert spoilt.abs().max() <= 1.0 + 1e-5
        changes.append(float((spoilt - clip).abs().mean()))
    assert 0 < changes[0] < changes[1]


def test_a_dissolved_object_is_gone_at_the_end(pool):
    stored = torch.from_numpy(np.array(pool.frames[1])).permute(0, 3, 1, 2).float()
    spoilt = data.spoil(stored[:16], stored[16], "dissolve", 1.0, np.random.default_rng(0))
    torch.testing.assert_close(spoilt[-1], stored[16])
    torch.testing.assert_close(spoilt[0], stored[0])


def test_wrong_captions_differ_in_one_word_of_the_same_kind():
    caption = sample_scene("train", 5).caption
    for seed in range(10):
        wrong = data.wrong_caption(caption, np.random.default_rng(seed)).split()
        changed = [(a, b) for a, b in zip(caption.split(), wrong, strict=True) if a != b]
        assert len(changed) == 1
        assert any(set(changed[0]) <= set(kind) for kind in data.KINDS)


def test_batches_depend_on_their_seed_alone(pool):
    first, again = (data.draw_clips(pool, 3, (0, 7)) for _ in range(2))
    other = data.draw_clips(pool, 3, (0, 8))
    assert torch.equal(first.clip_BTCHW, again.clip_BTCHW)
    assert torch.equal(first.defects_BK, again.defects_BK)
    assert not torch.equal(first.clip_BTCHW, other.clip_BTCHW)


def options(net, folder, **changes):
    values = {"folder": str(folder), "export": str(folder / "w.safetensors"), "threads": 1}
    kind = {"clip": PairNetOptions, "video": ClipNetOptions}[net]
    return kind(f"shapes_{net}", **{**values, "scenes": 8, "batch": 4, "minutes": 2 / 60, **changes})


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(metric_nets, "CHECKED", 4)


@pytest.mark.long
@pytest.mark.parametrize("net", shipped.NETS)
@pytest.mark.usefixtures("clock")
def test_a_run_in_two_parts_equals_one_and_its_weights_load(net, tmp_path):
    assert metric_nets.main(options(net, tmp_path / "a")) == 0
    card = json.loads((tmp_path / "a" / "w.json").read_text())
    assert (card["steps"], card["clips_seen"]) == (2, 8)
    assert card["held_out"]["loss"] > 0
    parts = options(net, tmp_path / "b")
    assert interrupted(lambda: metric_nets.main(parts), after=1) == 130
    assert metric_nets.main(parts) == 0
    one, other = (shipped.load(net, tmp_path / name / "w.safetensors").state_dict() for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(UserError, match=r"batch differs from what the run in .* began with"):
        metric_nets.main(options(net, tmp_path / "a", batch=5))


@pytest.mark.usefixtures("clock")
def test_the_picture_encoder_stays_as_it_was_trained(tmp_path):
    assert metric_nets.main(options("video", tmp_path)) == 0
    kept = metric_nets.picture_encoder(None).state_dict()
    trained = shipped.load("video", tmp_path / "w.safetensors")
    for name, value in trained.pictures.state_dict().items():
        assert torch.equal(value, kept[name].half().to(value.dtype)), name


def test_video_without_a_picture_encoder_says_what_to_train_first(tmp_path):
    with pytest.raises(MissingAsset, match="train model=shapes_clip"):
        metric_nets.main(options("video", tmp_path, pictures=str(tmp_path / "none.safetensors")))


def test_learning_rate_falls_to_zero():
    recipe = CosineRecipe(minutes=1.0, seed=0)
    assert recipe.learning_rate(2e-3, Counters(0, 0, 0.0)) == pytest.approx(2e-5)
    assert recipe.learning_rate(2e-3, Counters(1000, 0, 0.0)) == pytest.approx(2e-3)
    assert recipe.learning_rate(2e-3, Counters(1000, 0, 60.0)) == pytest.approx(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0.0}, "minutes=0.0"),
        ({"batch": 3}, "batch=3"),
        ({"scenes": 3}, "scenes=3"),
        ({"threads": 0}, "threads=0"),
    ],
)
def test_wrong_options_are_refused(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        metric_nets.main(options("clip", tmp_path, **changes))
