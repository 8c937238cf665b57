"""Entity binding: the look of a path's start is painted along the path, and the extractor reads it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.models.shared.nano.copies import copied_latents
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import nano
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.conditions.nano_motion import path_input
from toraeval.models.tora.generator import Tora as TrajectoryModel
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.types import Case, Trajectories


def tracks(*lines: tuple[tuple[float, float], tuple[float, float]], frames: int = 17) -> np.ndarray:
    return np.stack([np.linspace(start, end, frames) for start, end in lines])


def small(**changes: object) -> ToraNetwork:
    torch.manual_seed(0)
    sizes = {"depth": 1, "hidden_size": 32, "num_heads": 2, "in_channels": 8, "cond_channels": 8,
             "caption_channels": 8, "motion_channels": 8}  # fmt: skip
    return ToraNetwork(nano(**{**sizes, **changes})).eval()


def test_copies_enter_beside_the_first_frame(vae: LinearPatchAutoencoder) -> None:
    plain, bound = small(binding="none"), small()
    assert (plain.config.given_channels, bound.config.given_channels) == (8, 8 + 9)
    path, first = tracks(((20, 20), (50, 40))), torch.randn(1, 8, 1, 2, 2)
    inputs = path_input(bound.config, vae, path, 64, 64, first)
    assert inputs.shape == (1, 17, 5, 2, 2)
    torch.testing.assert_close(inputs[:, :8], path_input(plain.config, vae, path, 64, 64))
    copies = copied_latents(vae, first[0, :, 0].permute(1, 2, 0), path)
    torch.testing.assert_close(inputs[0, 8:].permute(1, 2, 3, 0), copies)
    torch.nn.init.normal_(bound.final_layer.linear.weight, std=0.1)
    given = {"y": bound.encode_text(["a red circle"]), "fps": torch.tensor([8.0])}
    noise, time = torch.randn(1, 8, 5, 2, 2), torch.tensor([1000.0])
    without, zero, with_copies = (
        bound.predict_clean(noise, time, None, first, copies=c, motion=None, **given)
        for c in (None, torch.zeros_like(inputs[:, 8:]), inputs[:, 8:])
    )
    assert torch.equal(without, zero)
    assert not torch.allclose(without, with_copies)


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
