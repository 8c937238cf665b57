"""Shards: encoding only what differs from a backdrop gives what encoding everything gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder, to_blocks
from toraeval.models.shared.trajectory import flow_video, integer_points, trajectory_video
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import sample_scene
from toraeval.training.data.scenes import (
    SIZE,
    _gather,
    dense_video,
    encode_scene,
    fit_blocks,
    motion_video,
)
from toraeval.training.data.shards import load_vae, shard_stem, write_shard
from toraeval.types import UserError

ROUNDING = 0.05  # of a component's standard deviation: bfloat16 pixels and float16 latents


@pytest.mark.parametrize(("index", "drift"), [(3, False), (2, False), (0, True)])
def test_encoded_scene_is_the_encoded_video(vae: LinearPatchAutoencoder, index: int, drift: bool) -> None:
    scene = sample_scene("train", index, num_objects=1 + index % 3, drift=drift)
    arrays = encode_scene(vae, scene, 17)
    renderer = SceneRenderer(scene, 17, SIZE, SIZE)
    points = integer_points(renderer.tracks_NT2, SIZE, SIZE)
    videos = {
        "video": renderer.render(),
        "sparse": trajectory_video(points, SIZE, SIZE),
        "dense": flow_video(np.stack(list(renderer.dense_flow()))),
    }
    assert arrays.keys() == videos.keys()
    for name, video in videos.items():
        assert (arrays[name].shape, arrays[name].dtype) == ((5, 16, 16, vae.components), np.float16)
        expected = vae.encode(video).permute(1, 2, 3, 0).numpy()
        assert np.abs(arrays[name] - expected).max() < ROUNDING, name


def test_motion_picture_and_its_boxes() -> None:
    renderer = SceneRenderer(sample_scene("train", 5, num_objects=2), 9, SIZE, SIZE)
    video, boxes = motion_video(renderer)
    points = integer_points(renderer.tracks_NT2, SIZE, SIZE)
    assert np.array_equal(video, trajectory_video(points, SIZE, SIZE))
    outside = np.ones(video.shape[:3], bool)
    for t, x0, y0, x1, y1 in boxes:
        outside[t, y0:y1, x0:x1] = False
    assert (video[outside] == 255).all()


@pytest.mark.parametrize("drift", [False, True])
def test_dense_picture_is_the_coloured_flow(drift: bool) -> None:
    renderer = SceneRenderer(sample_scene("train", 7, num_objects=2, drift=drift), 5, 128, 128)
    expected = flow_video(np.stack(list(renderer.dense_flow())))
    made = dense_video(renderer)
    apart = np.abs(made.astype(int) - expected)
    apart = np.minimum(apart, 256 - apart).max(-1)  # the peak of the code may wrap from 0 to 255
    assert (apart > 1).mean() < 1e-3  # the wheel jumps where the vertical part is zero
    assert (made[1:] != 255).any()


def test_gathered_blocks_are_the_blocks() -> None:
    video = np.random.default_rng(0).integers(0, 256, (9, 64, 96, 3), dtype=np.uint8)
    blocks = to_blocks(video)
    picks = np.array([0, 5, 6, 11, 17])
    assert torch.equal(_gather(video, picks), blocks[picks])
    assert torch.equal(_gather(video, np.arange(18)), blocks)


def test_fit_blocks() -> None:
    blocks = fit_blocks(1)
    assert (blocks.dtype, tuple(blocks.shape)) == (torch.uint8, (58, 12288))
    assert torch.equal(blocks, fit_blocks(1))
    assert not torch.equal(blocks, fit_blocks(1, seed=1))


def test_shard_files(shards: Path, vae: LinearPatchAutoencoder) -> None:
    stem = "f017_0000004"
    captions = (shards / f"{stem}.txt").read_text().splitlines()
    assert captions == [sample_scene("train", index).caption for index in (4, 5, 6)]
    for name, latents in encode_scene(vae, sample_scene("train", 5), 17).items():
        stored = np.load(shards / f"{stem}_{name}.npy")
        assert stored.shape[0] == 3
        assert np.array_equal(stored[1], latents)


def test_a_whole_shard_is_not_written_again(vae: LinearPatchAutoencoder, shards: Path) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in shards.iterdir()}
    write_shard(vae, shards / "f017_0000000", 4)
    assert {p.name: p.stat().st_mtime_ns for p in shards.iterdir()} == before


def test_a_killed_shard_has_no_captions(
    vae: LinearPatchAutoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, arr: np.ndarray) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match="disk full"):
        write_shard(vae, shard_stem(tmp_path, 17, 0), 1)
    assert not list(tmp_path.glob("*.txt"))


def test_loaded_autoencoder_is_the_saved_one(vae: LinearPatchAutoencoder, vae_path: Path) -> None:
    loaded = load_vae(vae_path)
    assert loaded.components == vae.components
    assert all(torch.equal(a, b) for a, b in zip(loaded.buffers(), vae.buffers(), strict=True))


def test_a_resting_scene_is_encoded_as_white_motion(vae: LinearPatchAutoencoder) -> None:
    scene = sample_scene("train", 3, num_objects=1, drift=False)
    thing = scene.objects[0]
    still = replace(scene, objects=(replace(thing, path_P2=np.repeat(thing.path_P2[:1], 1025, axis=0)),))
    arrays = encode_scene(vae, still, 5)
    white = vae.encode(np.full((1, 32, 32, 3), 255, np.uint8)).flatten().numpy()
    np.testing.assert_allclose(
        arrays["sparse"], np.broadcast_to(white, arrays["sparse"].shape), atol=ROUNDING
    )


def test_a_jump_is_encoded_where_it_began(vae: LinearPatchAutoencoder) -> None:
    scene = sample_scene("train", 3, num_objects=1, drift=False)
    thing = scene.objects[0]
    path = np.full_like(thing.path_P2, 350.0)
    path[0] = 100.0  # dense flow stands at the place before the jump, in the latent frame after it
    arrays = encode_scene(vae, replace(scene, objects=(replace(thing, path_P2=path),)), 5)
    white = arrays["dense"][0, 0, 0]
    assert np.abs(arrays["dense"][1, 3, 3] - white).max() > 0.1
    assert np.array_equal(arrays["dense"][1, 12, 3], white)
