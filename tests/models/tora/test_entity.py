"""Entity binding: the look of a path's start is painted along the path, and the extractor reads it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import nano
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.conditions.nano_motion import path_input
from toraeval.models.tora.generator import Tora as TrajectoryModel
from toraeval.models.tora.network.entity import entity_maps
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.types import Case, Trajectories


def tracks(*lines: tuple[tuple[float, float], tuple[float, float]], frames: int = 17) -> np.ndarray:
    return np.stack([np.linspace(start, end, frames) for start, end in lines])


def test_looks_follow_their_paths() -> None:
    first = torch.zeros(16, 16, 2)
    first[2:6, 2:6, 0] = 1.0  # one object's look around (128, 128)
    first[10:14, 10:14, 1] = 1.0  # another one's around (384, 384)
    maps = entity_maps(first, tracks(((128, 128), (384, 128)), ((384, 384), (128, 384))))
    assert maps.shape == (5, 16, 16, 3)
    assert maps.dtype == torch.float32
    for t, x in ((0, 4), (4, 11)):
        assert maps[t, 4, x, 0] > 0.8 * maps[t, 4, x, 2] > 0.5
        assert maps[t, 4, x, 1] < 0.05
    assert maps[4, 12, 4, 1] > 0.5  # the second one has come to the left
    assert maps[4, 4, 3, 2] < 0.1  # nothing is left at the start
    assert maps[..., 2].max() <= 1


def test_swapped_looks_are_told_apart_where_paths_meet() -> None:
    meeting = tracks(((100, 256), (400, 256)), ((400, 256), (100, 256)))
    first = torch.randn(16, 16, 4, generator=torch.Generator().manual_seed(0))
    one, other = entity_maps(first, meeting), entity_maps(first, meeting[::-1].copy())
    torch.testing.assert_close(one, other)  # the order of paths says nothing
    swapped = first.clone()
    swapped[6:10, 1:6], swapped[6:10, 10:15] = first[6:10, 10:15], first[6:10, 1:6]
    assert (entity_maps(swapped, meeting)[4] - one[4]).abs().max() > 0.1


def small(**changes: object) -> ToraNetwork:
    torch.manual_seed(0)
    sizes = {"depth": 1, "hidden_size": 32, "num_heads": 2, "in_channels": 8, "cond_channels": 8,
             "caption_channels": 8, "motion_channels": 8}  # fmt: skip
    return ToraNetwork(nano(**{**sizes, **changes})).eval()


@pytest.fixture
def vae() -> LinearPatchAutoencoder:
    made = LinearPatchAutoencoder(8)
    basis = torch.randn(8, made.mean.numel(), generator=torch.Generator().manual_seed(0))
    made.basis.copy_(torch.linalg.qr(basis.T).Q.T)
    made.mean.fill_(120.0)
    made.scale.fill_(500.0)
    return made


def test_the_extractor_gets_the_looks(vae: LinearPatchAutoencoder) -> None:
    plain, bound = small(binding="none"), small()
    assert plain.config.motion_in_channels == 8
    assert bound.config.motion_in_channels == 8 + 9
    path, first = tracks(((20, 20), (50, 40))), torch.randn(1, 8, 1, 2, 2)
    inputs = path_input(bound.config, vae, path, 64, 64, first)
    assert inputs.shape == (1, 17, 5, 2, 2)
    torch.testing.assert_close(inputs[:, :8], path_input(plain.config, vae, path, 64, 64))
    other = path_input(bound.config, vae, path, 64, 64, -first)
    assert not torch.allclose(inputs[:, 8:], other[:, 8:])
    assert bound.encode_motion(inputs)[0].shape == (1, 5, 4, 8)


def test_weights_with_binding_load_and_generate(vae: LinearPatchAutoencoder, tmp_path: Path) -> None:
    network, path = small(binding="entity"), tmp_path / "w.safetensors"
    checkpoint.save(path, network.state_dict(), vae, {"architecture": asdict(network.config)})
    loaded, _ = checkpoint.load(path)
    assert loaded.config.binding == "entity"
    paths = Trajectories(tracks(((12, 20), (50, 40)), frames=9), np.ones((1, 9), bool), (64, 64))
    first = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    case = Case("a", "test-v1", "a red circle moves", paths, 9, 64, 64, 8.0, 0, first)
    generator = TrajectoryModel(steps=1, precision="fp32", weights=str(path))
    assert generator.generate(case, 0).num_frames == 9


def test_unknown_bindings_are_refused() -> None:
    with pytest.raises(ValueError, match="binding 'name' is not one of none, entity"):
        nano(binding="name")


def test_paths_read_backwards_are_painted_alike() -> None:
    path, first = tracks(((20, 20), (50, 40))), torch.randn(2, 2, 8)
    backwards = path[:, ::-1]
    assert torch.equal(entity_maps(first, backwards), entity_maps(first, backwards.copy()))
