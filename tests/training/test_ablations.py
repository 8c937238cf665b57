"""Variants of Tora nano: what differs between them, that they share start and budget, and that they resume."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toraeval.config.verbs import AblationsConfig
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import STDiTConfig, nano
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import sample_scene
from toraeval.training.data.batches import BatchSource
from toraeval.training.data.scenes import dense_video
from toraeval.training.data.shards import write_shard
from toraeval.training.recipes import ablations
from toraeval.training.recipes import nano as training
from toraeval.types import UserError


def test_groups_share_one_default_and_each_variant_changes_one_thing() -> None:
    assert len(ablations.variants()) == 10
    for group in ablations.GROUPS.values():
        assert next(iter(group.values())) is ablations.DEFAULT
        for variant in list(group.values())[1:]:
            changes = len(variant.network) + (variant.dense_share != ablations.DENSE_SHARE)
            assert changes == 1
            nano(**{**ablations.PAPER, **variant.network})


@pytest.mark.parametrize("index", [1, 8])  # a still background and a drifting one
def test_dense_flow_is_what_the_dense_picture_shows(index: int) -> None:
    renderer = SceneRenderer(sample_scene("train", index), 5, 512, 512)
    video = dense_video(renderer)
    steps = np.diff(renderer.tracks_NT2, axis=1)
    for t, top, left, flow in renderer.flow_patches():
        whole = np.zeros((512, 512, 2), np.float32)
        whole[top : top + flow.shape[0], left : left + flow.shape[1]] = flow
        np.testing.assert_array_equal(whole.any(-1), (video[t] != 255).any(-1))
        x, y = renderer.tracks_NT2[-1, t - 1].round().astype(int)  # the front object hides the others
        np.testing.assert_allclose(whole[y, x], steps[-1, t - 1], atol=1e-5)


class Shipped:
    """A small network trained by nobody, in place of the shipped weights."""

    def __init__(self, path: Path, config: STDiTConfig, vae: LinearPatchAutoencoder) -> None:
        self.path, self.config = path, config
        checkpoint.save(path, ToraNetwork(config).state_dict(), vae, {"architecture": asdict(config)})


@pytest.fixture
def options(
    tmp_path: Path, tiny_size: STDiTConfig, vae: LinearPatchAutoencoder, monkeypatch: pytest.MonkeyPatch
) -> AblationsConfig:
    shipped = Shipped(tmp_path / "shipped.safetensors", tiny_size, vae)
    monkeypatch.setattr(checkpoint, "weights_path", lambda: shipped.path)
    # scenes 100 to 102 have two, two and one objects
    monkeypatch.setattr(ablations, "SCENES", {17: (100, 3)})
    monkeypatch.setattr(ablations, "TOKENS", 320)
    monkeypatch.setattr(ablations, "check", lambda options: None)

    return AblationsConfig(
        steps=2, backbone_steps=1, clips=3, folder=str(tmp_path / "state"), workers=1, seeds=[0]
    )


@pytest.mark.parametrize(
    "names", [("default", "both", "key_frame"), ("cross_attention", "entity", "dense_only")]
)
def test_variants_are_trained_from_the_backbone_and_found_again(
    options: AblationsConfig, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    chosen = [v for v in ablations.variants() if v.name in names]
    monkeypatch.setattr(ablations, "variants", lambda: chosen)
    trained = list(ablations.train_all(options))
    assert [t.variant.name for t in trained] == ["backbone", *names]
    assert [t.card["steps"] for t in trained] == [1] + [2] * len(names)
    assert len({t.card["clips_seen"] for t in trained[1:]}) == 1
    assert trained[0].card["motion_parameters"] == 0
    for item in trained[1:]:
        network, _ = checkpoint.load(item.weights)
        assert {k: getattr(network.config, k) for k in item.variant.network} == dict(item.variant.network)
        assert item.card["motion_parameters"] > 0
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("nothing is left to train"))
    assert [t.weights for t in ablations.train_all(options)] == [t.weights for t in trained]


def test_every_seed_trains_every_variant_from_one_backbone(
    options: AblationsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablations, "variants", lambda: [ablations.DEFAULT])
    backbone, *trained = ablations.train_all(replace(options, steps=1, seeds=[3, 5]))
    assert [item.seed for item in trained] == [3, 5]
    assert [item.card["config"]["seed"] for item in (backbone, *trained)] == [3, 3, 5]
    one, other = (checkpoint.load(item.weights)[0].state_dict() for item in trained)
    assert any(not value.equal(other[name]) for name, value in one.items())


def test_the_common_design_binds_no_entities_whatever_is_shipped(
    options: AblationsConfig,
    monkeypatch: pytest.MonkeyPatch,
    tiny_size: STDiTConfig,
    vae: LinearPatchAutoencoder,
) -> None:
    bound = replace(tiny_size, binding="entity")
    checkpoint.save(
        checkpoint.weights_path(), ToraNetwork(bound).state_dict(), vae, {"architecture": asdict(bound)}
    )
    monkeypatch.setattr(ablations, "variants", lambda: [ablations.DEFAULT])
    trained = list(ablations.train_all(replace(options, steps=1)))
    assert [item.card["architecture"]["binding"] for item in trained] == ["none", "none"]


def test_dense_stage_comes_first_and_the_backbone_sees_no_path(
    options: AblationsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    draw = BatchSource.draw

    def noted(self: BatchSource, step: int, plan: Any) -> Any:
        batch = draw(self, step, plan)
        seen.append(plan.motion)
        assert (batch.motion is None) == (plan.motion == "none")
        return batch

    monkeypatch.setattr(BatchSource, "draw", noted)
    monkeypatch.setattr(ablations, "variants", lambda: [ablations.DEFAULT])
    list(ablations.train_all(replace(options, steps=8, backbone_steps=2)))
    assert seen[0] == "none"
    variant = [motion for motion in seen if motion != "none"]
    assert variant == sorted(variant)  # dense before sparse
    assert set(variant) == {"dense", "sparse"}


def test_flow_files_have_one_row_per_clip(tmp_path: Path, vae: LinearPatchAutoencoder) -> None:
    write_shard(vae, tmp_path / "f017_0000100", 2, ("flows",))
    files = sorted(path.name for path in tmp_path.iterdir())
    motions = [f"{m}_{c}" for m in ("dense", "sparse") for c in ("average", "key_frame")]
    assert files == sorted(f"f017_0000100_{name}.npy" for name in motions)
    for name in motions:
        cells = np.load(tmp_path / f"f017_0000100_{name}.npy")
        assert cells.shape == (2, 5, 16, 16, nano(compression="average", binding="none").motion_in_channels)
        assert np.abs(cells[:, 1:]).max() > 0
        assert not cells[:, 0].any()


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match=r"ablations: steps=0; allowed: at least 1"):
        ablations.check(AblationsConfig(steps=0))
    for seeds in ([], [1, 1], [-1]):
        with pytest.raises(UserError, match=r"ablations: seeds=.*; allowed: "):
            ablations.check(AblationsConfig(seeds=seeds))
