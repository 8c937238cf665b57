"""Batches depend on step and number alone, and hold what the source, the autoencoder and the stage say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from toraeval.models.shared.network.config import tiny
from toraeval.models.tora.conditions.flow_sampling import sample_trajectories
from toraeval.models.tora.conditions.motion import motion_input
from toraeval.training.data.batch import Batch
from toraeval.training.data.buckets import BucketPlan, read_buckets
from toraeval.training.data.clips import ShapesClips, TrainingClip
from toraeval.training.data.feed import Encoders, Feed
from toraeval.training.engine.distributed import World
from toraeval.training.recipes.full_data import RandomCaptions, random_vae
from toraeval.training.recipes.full_recipe import FullRecipe
from toraeval.types import UserError

CPU = torch.device("cpu")
CONFIG = tiny(fuser="adaptive_norm")
RECIPE = FullRecipe(stage_steps=(2, 2), batches_per_step=2, seed=4)
MOVING = {"64x96": {5: [1.0, 2]}}
MIXED = {"64x96": {5: [0.5, 2]}, "32x48": {1: [1.0, 1]}}


@contextmanager
def feed(
    source: Any = None, rank: int = 0, size: int = 1, table: Any = MOVING, **options: Any
) -> Iterator[Feed]:
    """A feed of rendered scenes."""
    encoders = {k: options.pop(k) for k in ("sample", "clean") if k in options}
    source = source or ShapesClips(6)
    captions = RandomCaptions(CONFIG.caption_channels, CONFIG.model_max_length, CPU)
    made = Feed(
        source,
        BucketPlan(source.sizes, read_buckets(table), 4, 2),
        CONFIG,
        Encoders(random_vae(0), "random", captions, **encoders),
        RECIPE,
        World(rank, size, CPU, None),  # type: ignore[arg-type]
        **options,
    )
    try:
        yield made
    finally:
        made.close()


def assert_same(one: Batch, other: Batch) -> None:
    for field in fields(Batch):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, field.name


def test_a_batch_is_the_same_in_any_process_and_order() -> None:
    with feed(table=MIXED) as one, feed(table=MIXED, rank=1, size=2) as other:
        forward = {(s, n): one.batch(s, n) for s in range(4) for n in range(2)}
        for s in (3, 1, 2):
            assert_same(other.batch(s, 1), forward[s, 1])
    assert not torch.equal(forward[0, 0].latents_BCTHW, forward[0, 1].latents_BCTHW)


def test_batches_hold_latents_flow_and_caption_of_their_clips() -> None:
    with feed() as made:
        size, indices = made.plan.batch(0, 0)
        clip = made.source.clip(indices[0], *size, torch.Generator())
        batch = made.batch(0, 0)
        vae = made.encoders.vae
        video = torch.from_numpy(clip.video_TCHW).transpose(0, 1)[None] / 127.5 - 1
        torch.testing.assert_close(batch.latents_BCTHW[0], vae.encode(video)[0], atol=1e-6, rtol=0)
        dense = motion_input(CONFIG, vae, flow_THW2=clip.flow_THW2, stage="training")[0]
        torch.testing.assert_close(batch.motion[0], dense, atol=1e-6, rtol=0)
        assert torch.equal(batch.text[0], made.encoders.captions.encode([clip.caption])[0][0])
        assert (batch.frames, batch.height, batch.width, batch.fps.tolist()) == (5, 64, 96, [8.0, 8.0])


def test_the_second_stage_sees_trajectories(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def sampled(flow: Any, rng: np.random.Generator) -> Any:
        drawn.append(sample_trajectories(flow, rng))
        return drawn[-1]

    monkeypatch.setattr("toraeval.training.data.feed.sample_trajectories", sampled)
    with feed() as made:
        batch = made.batch(2, 0)
        points = drawn[0]
        expected = motion_input(CONFIG, made.encoders.vae, points_NT2=points, size=(64, 96), stage="training")
        torch.testing.assert_close(batch.motion[0], expected[0], atol=1e-6, rtol=0)


def test_captions_are_cleaned_first() -> None:
    with feed(clean=lambda text: "same") as made:
        batch = made.batch(0, 0)
        expected = made.encoders.captions.encode(["same"])[0][0]
        assert all(torch.equal(row, expected) for row in batch.text)


def test_a_sampled_posterior_cannot_be_cached(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="posterior=mode"), feed(sample=True, cache=tmp_path):
        pass


class WithoutFlow(ShapesClips):
    """Scenes whose flow is not known."""

    def clip(self, *arguments: Any, **named: Any) -> TrainingClip:
        return replace(super().clip(*arguments, **named), flow_THW2=None)


def test_a_clip_without_flow_is_refused() -> None:
    with (
        feed(WithoutFlow(3)) as made,
        pytest.raises(UserError, match=r"has no optical flow; .*flow_estimator=dis"),
    ):
        made.batch(0, 0)
