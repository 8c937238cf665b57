"""The temporal autoencoder against numbers recorded from Open-Sora v1.2.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.parity_data import allowance, read_arrays
from toraeval.models.tora.autoencoder.temporal import TemporalVAE, TemporalVAEConfig
from toraeval.types import UserError

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "open_sora" / "vae_temporal_tiny_a.npz")


@pytest.fixture(scope="module")
def model(golden: Golden) -> TemporalVAE:
    model = TemporalVAE(TemporalVAEConfig.from_upstream(json.loads(str(golden["config"]))["model"])).eval()
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("sd/")}
    model.load_state_dict(state, strict=True)
    return model


def close(actual: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(actual, torch.from_numpy(expected), rtol=0, atol=allowance(expected))


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 4, 6, 17])
def test_recorded_posterior_sample_and_decoding(golden: Golden, model: TemporalVAE, frames: int) -> None:
    case = {
        name: golden[f"single{frames}/{name}"] for name in ("x", "mean", "logvar", "noise", "z", "decoded")
    }
    posterior = model.encode(torch.from_numpy(case["x"]))
    close(posterior.mean, case["mean"])
    close(posterior.logvar, case["logvar"])
    assert posterior.latents(None) is posterior.mean
    close(posterior.latents(lambda _: torch.from_numpy(case["noise"])), case["z"])
    close(model.decode(torch.from_numpy(case["z"]), frames), case["decoded"])


def test_keys_shapes_and_parameters_of_the_published_size(data_dir: Path) -> None:
    manifest = json.loads((data_dir / "open_sora" / "manifest_vae_temporal.json").read_text())
    assert TemporalVAEConfig.from_upstream(manifest["config"]) == TemporalVAEConfig()
    with torch.device("meta"):
        model = TemporalVAE()
    assert {k: list(v.shape) for k, v in model.state_dict().items()} == manifest["keys"]
    assert sum(p.numel() for p in model.parameters()) == manifest["param_count"] == 309_687_144


def test_latent_frames_of_one_chunk(data_dir: Path, model: TemporalVAE) -> None:
    table = json.loads((data_dir / "open_sora" / "latent_sizes.json").read_text())["frames"]
    assert [model.latent_frames(row["num_frames"]) for row in table] == [
        row["latent_frames_unchunked"] for row in table
    ]


def test_frames_that_do_not_belong_to_the_latents(golden: Golden, model: TemporalVAE) -> None:
    with pytest.raises(UserError, match="5 latent frames cannot be decoded to 16 frames; these need 4"):
        model.decode(torch.from_numpy(golden["single17/z"]), 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 2}, "unknown option.* patch; known: .*filters"),
        ({"activation_fn": "relu"}, "'relu' is not implemented; allowed: swish"),
        ({"temporal_downsample": [True]}, "4 channel_multipliers need one entry .* less, got 1"),
        ({"filters": 100}, r"widths \(100, 200, 200, 400\) must be multiples of num_groups 32"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TemporalVAEConfig.from_upstream(options)
