"""The 2-D autoencoder against recorded numbers and against diffusers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.parity_data import allowance, read_arrays
from toraeval.models.tora.autoencoder.spatial import SpatialVAE, SpatialVAEConfig

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "open_sora" / "vae_spatial_tiny_a.npz")


@pytest.fixture(scope="module")
def options(golden: Golden) -> dict[str, Any]:
    return json.loads(str(golden["config"]))["model"]


@pytest.fixture(scope="module")
def model(golden: Golden, options: dict[str, Any]) -> SpatialVAE:
    model = SpatialVAE(SpatialVAEConfig.from_upstream(options)).eval()
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("sd/")}
    model.load_state_dict(state, strict=True)
    return model


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=allowance(expected))


@torch.no_grad()
@pytest.mark.parametrize("micro_batch", [None, 1, 2])
def test_recorded_posterior_latents_and_frames(
    golden: Golden, model: SpatialVAE, micro_batch: int | None
) -> None:
    value = {
        name: torch.from_numpy(golden[name]) for name in ("x", "mean", "logvar", "noise", "z", "decoded")
    }
    posterior = model.posterior(value["x"], micro_batch)
    close(posterior.mean, value["mean"])
    close(posterior.logvar, value["logvar"])
    close(model.encode(value["x"], lambda _: value["noise"], micro_batch), value["z"])
    close(model.decode(value["z"], micro_batch), value["decoded"])


@torch.no_grad()
def test_frames_of_several_clips_stay_in_order(model: SpatialVAE) -> None:
    video = torch.rand(2, 3, 3, 16, 24) * 2 - 1
    latents = model.encode(video, micro_batch=2)
    assert latents.shape == (2, 4, 3, 2, 3)
    torch.testing.assert_close(latents[1:, :, 2:], model.encode(video[1:, :, 2:]), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        model.decode(latents, 4)[1:, :, 1:2], model.decode(latents[1:, :, 1:2]), rtol=0, atol=1e-5
    )


def test_keys_shapes_and_parameters_of_the_published_size(data_dir: Path) -> None:
    manifest = json.loads((data_dir / "open_sora" / "manifest_vae_spatial.json").read_text())
    assert SpatialVAEConfig.from_upstream(manifest["config"]) == SpatialVAEConfig()
    with torch.device("meta"):
        model = SpatialVAE()
    assert {k: list(v.shape) for k, v in model.module.state_dict().items()} == manifest["keys"]
    assert sum(p.numel() for p in model.parameters()) == manifest["param_count"] == 83_653_863


@torch.no_grad()
def test_equals_diffusers_both_ways(options: dict[str, Any]) -> None:
    autoencoder = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl")
    theirs = autoencoder.AutoencoderKL(
        **{**options, "block_out_channels": (8, 16, 16)}
        | {
            "down_block_types": ["DownEncoderBlock2D"] * 3,
            "up_block_types": ["UpDecoderBlock2D"] * 3,
        }
    ).eval()
    ours = SpatialVAE(SpatialVAEConfig.from_upstream(dict(theirs.config))).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    ours.module.load_state_dict(theirs.state_dict(), strict=True)
    frames = torch.rand(2, 3, 22, 13) * 2 - 1
    moments = theirs.encode(frames).latent_dist.parameters
    close(ours.module.moments(frames), moments)
    latents = torch.randn(2, 4, 5, 3)
    close(ours.module.decode(latents), theirs.decode(latents).sample)
    theirs.load_state_dict(ours.module.state_dict(), strict=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"act_fn": "gelu"}, "act_fn 'gelu' is not implemented; allowed: 'silu'"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"]}, "AttnDown.* allowed: .*DownEncoderBlock2D"),
        ({"use_quant_conv": False}, "use_quant_conv False is not implemented"),
        ({"colour": 1}, "unknown option colour; known: .*latent_channels"),
        ({"block_out_channels": [8, 10]}, r"\(8, 10\) must be multiples of norm_num_groups 4"),
    ],
)
def test_wrong_options(options: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpatialVAEConfig.from_upstream({**options, **change})
