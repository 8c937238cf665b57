"""Excerpts of long clips are what rendering and encoding them alone would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import sample_scene
from toraeval.training.data.batches import BatchSource, StepPlan
from toraeval.training.data.scenes import excerpt_starts, sampled_flow
from toraeval.training.data.shards import ExcerptShard, Shard, displacement_motion, write_shard
from toraeval.trajectories.displacement import displacement_maps
from toraeval.types import UserError

ROUNDING = 0.05  # of a component's standard deviation: bfloat16 pixels and float16 latents
LENGTHS = {17: 0.5, 33: 0.5}


def source(folder: Path, **options: object) -> BatchSource:
    return BatchSource(folder, LENGTHS, motion=displacement_motion, open_shard=ExcerptShard, **options)  # type: ignore[arg-type]


def test_excerpts_lie_end_to_end() -> None:
    assert list(excerpt_starts(17)) == [0]
    assert list(excerpt_starts(33)) == [0, 16]
    assert list(excerpt_starts(129)) == [0, 16, 32, 48, 64, 80, 96, 112]


@pytest.mark.parametrize(("pick", "index", "start"), [(0, 100, 0), (1, 100, 16), (3, 101, 16)])
def test_an_excerpt_is_its_own_encoded_video(
    excerpts: Path, vae: LinearPatchAutoencoder, pick: int, index: int, start: int
) -> None:
    shard = ExcerptShard(excerpts / "f033_0000100")
    renderer = SceneRenderer(sample_scene("train", index), 33)
    frames = np.stack([renderer.frame(t) for t in range(start, start + 17)])
    expected = vae.encode(frames).permute(1, 2, 3, 0)
    assert (shard.rows("video", np.array([pick]))[0].float() - expected).abs().max() < ROUNDING
    np.testing.assert_allclose(shard.tracks(pick), renderer.tracks_NT2[:, start : start + 17], atol=1e-4)
    assert len(shard.words) == 4
    assert shard.length == 5
    assert np.array_equal(shard.words[pick], Shard(shard.stem).words[index - 100])


def test_a_short_clip_is_its_own_excerpt(excerpts: Path) -> None:
    plain, cut = (kind(excerpts / "f017_0000000") for kind in (Shard, ExcerptShard))
    picks = np.arange(4)
    for name in ("video", "sparse"):
        assert torch.equal(plain.rows(name, picks), cut.rows(name, picks))


def test_marks_of_an_excerpt_begin_white(excerpts: Path) -> None:
    shard = ExcerptShard(excerpts / "f033_0000100")
    whole = np.load(excerpts / "f033_0000100_sparse.npy")
    late = shard.rows("sparse", np.array([1]))[0].numpy()
    assert np.array_equal(late[0], whole[0, 0])
    assert np.array_equal(late[1:], whole[0, 5:9])


@pytest.mark.parametrize(("frames", "start", "drift"), [(17, 0, False), (33, 16, True), (65, 32, False)])
def test_sampled_flow_is_the_exact_flow_between_four_pixels(frames: int, start: int, drift: bool) -> None:
    scene = sample_scene("train", 9, num_objects=2, drift=drift)
    sampled = sampled_flow(scene, frames, start) * 16
    flow = np.stack(list(SceneRenderer(scene, frames).dense_flow())[start + 1 : start + 17])
    corners = [flow[:, 3 + i :: 8, 3 + j :: 8] for i in (0, 1) for j in (0, 1)]
    inside = np.all([(corner == corners[0]).all(-1) for corner in corners], 0)  # no outline in between
    assert inside.mean() > 0.9
    assert (sampled[inside] != 0).any()
    np.testing.assert_allclose(sampled[inside], corners[0][inside], atol=1e-4)


def test_motion_is_exact_flow_or_spread_paths(excerpts: Path) -> None:
    shard, read = ExcerptShard(excerpts / "f033_0000100"), displacement_motion
    picks = np.array([1, 2])
    sparse, dense = (read(shard, picks, kind) for kind in ("sparse", "dense"))
    assert sparse.shape == dense.shape == (2, 5, 16, 16, 128)
    np.testing.assert_array_equal(sparse[0], displacement_maps(shard.tracks(1), 512, 512))
    assert not dense[:, 0].any()
    # where an object is, both say how it moves; the path's map only fades around its centre
    x, y = shard.tracks(1)[-1, 0]
    row, column = (int((p + 0.5) // 8) for p in (y, x))
    channel = (row % 4 * 4 + column % 4) * 2
    place = (0, 1, row // 4, column // 4, slice(channel, channel + 2))
    step = (shard.tracks(1)[-1, 1] - shard.tracks(1)[-1, 0]) / 16
    np.testing.assert_allclose(dense[place], step, atol=1e-4)
    np.testing.assert_allclose(sparse[place], step, atol=0.1 * np.abs(step).max() + 1e-3)


def test_batches_of_excerpts_are_alike_whatever_the_clip(excerpts: Path) -> None:
    for step, window in ((0, None), (1, 5), (2, 5), (3, 5), (4, None)):
        plan = StepPlan(lengths=LENGTHS, window=window)
        batch = source(excerpts).draw(step, plan)
        side = 10 if window else 16
        assert batch.frames == 17
        assert batch.latents_BCTHW.shape == (20 if window else 8, 8, 5, side, side)
        assert batch.motion is not None
        assert batch.motion.shape == (len(batch), 5, side, side, 128)
        again = source(excerpts).draw(step, plan)
        assert torch.equal(batch.latents_BCTHW, again.latents_BCTHW)
        assert torch.equal(batch.motion, again.motion)  # type: ignore[arg-type]
        short = batch.first(3)
        assert len(short) == len(short.text) == 3
        assert torch.equal(short.motion, batch.motion[:3])  # type: ignore[arg-type]


def test_a_shard_without_its_excerpts_is_refused(shards: Path) -> None:
    with pytest.raises(UserError, match=r"lacks tracks, flow or starts .*: python -m toraeval train model="):
        source(shards)


def test_what_is_there_is_not_written_again(excerpts: Path, vae: LinearPatchAutoencoder) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in excerpts.iterdir()}
    write_shard(vae, excerpts / "f033_0000100", 2, ("excerpts", "clips"))
    assert {p.name: p.stat().st_mtime_ns for p in excerpts.iterdir()} == before
    assert not (excerpts / "f017_0000000_starts.npy").exists()
