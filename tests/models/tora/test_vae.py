"""The video autoencoder: chunks and constants against Open-Sora v1.2.0, sizes, noise, dtypes and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.parity_data import allowance, read_arrays
from tests.models.tora.full_size import decoded
from toraeval.models.tora.autoencoder.spatial import SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAEConfig
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.types import UserError

Golden = Mapping[str, np.ndarray]

TINY = OpenSoraVAEConfig(
    spatial=SpatialVAEConfig(block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2),
    temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
)


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "open_sora" / "vae_temporal_tiny_a.npz")


@pytest.fixture(scope="module")
def recorded(golden: Golden) -> OpenSoraVAE:
    """The recorded temporal autoencoder; its recording had an identity in place of the 2-D one."""
    config = json.loads(str(golden["config"]))
    vae = OpenSoraVAE(
        OpenSoraVAEConfig.from_upstream(
            {
                "vae_2d": {"block_out_channels": [4, 4, 4, 4], "norm_num_groups": 2},
                "vae_temporal": config["model"],
                "micro_frame_size": config["micro_frame_size"],
                "shift": config["shift"],
                "scale": config["scale"],
            }
        )
    ).eval()
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("sd/")}
    vae.temporal_vae.load_state_dict(state, strict=True)
    return vae


@pytest.fixture(scope="module")
def vae() -> OpenSoraVAE:
    torch.manual_seed(0)
    return OpenSoraVAE(TINY).eval()


@pytest.fixture
def video() -> Tensor:
    return torch.rand(2, 3, 20, 17, 26, generator=torch.Generator().manual_seed(1)) * 2 - 1


def pieces(noise: Tensor) -> Any:
    """A source of noise that hands out a recording piece by piece along time."""

    def stream() -> Iterator[Tensor]:
        start = 0
        count = yield noise[:, :, :0]
        while True:
            start, piece = start + count, noise[:, :, start : start + count]
            count = yield piece

    source = stream()
    next(source)
    return lambda like: source.send(like.shape[2])


def close(actual: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(actual, torch.from_numpy(expected), rtol=0, atol=allowance(expected))


@torch.no_grad()
@pytest.mark.parametrize("frames", [20, 34])
def test_recorded_chunks(golden: Golden, recorded: OpenSoraVAE, frames: int) -> None:
    case = {name: torch.from_numpy(golden[f"pipe{frames}/{name}"]) for name in ("x", "noise", "z")}
    close(recorded.compress(case["x"], pieces(case["noise"])), golden[f"pipe{frames}/z"])
    chunks = list(recorded.expand_chunks(case["z"], frames))
    assert [chunk.shape[2] for chunk in chunks] == [17, frames - 17]
    close(torch.cat(chunks, dim=2), golden[f"pipe{frames}/decoded"])


def test_latent_sizes(data_dir: Path, vae: OpenSoraVAE) -> None:
    table = json.loads((data_dir / "open_sora" / "latent_sizes.json").read_text())
    for row in table["frames"]:
        assert vae.latent_size(row["num_frames"], 8, 8) == (row["latent_frames"], 1, 1)
    for row in table["sizes"]:
        assert vae.latent_size(17, row["height"], row["width"]) == (5, *row["latent"])


def test_keys_of_the_published_checkpoint(data_dir: Path) -> None:
    with torch.device("meta"):
        vae = OpenSoraVAE()
    expected = {"scale": [1, 4, 1, 1, 1], "shift": [1, 4, 1, 1, 1]}
    for part, prefix in (("spatial", "spatial_vae.module."), ("temporal", "temporal_vae.")):
        manifest = json.loads((data_dir / "open_sora" / f"manifest_vae_{part}.json").read_text())
        expected |= {prefix + key: shape for key, shape in manifest["keys"].items()}
    assert {k: list(v.shape) for k, v in vae.state_dict().items()} == expected
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863 + 309_687_144


def test_published_constants() -> None:
    vae = OpenSoraVAE(TINY)
    torch.testing.assert_close(vae.shift.flatten(), torch.tensor([-0.10, 0.34, 0.27, 0.98]))
    torch.testing.assert_close(vae.scale.flatten(), torch.tensor([3.85, 2.32, 2.33, 3.06]))
    assert vae.latent_channels == 4


def test_any_size_and_length_comes_back_in_whole_cells(vae: OpenSoraVAE, video: Tensor) -> None:
    z = vae.encode(video)
    assert z.shape == (2, 4, *vae.latent_size(20, 17, 26)) == (2, 4, 6, 2, 3)
    assert decoded(vae, z, 20).shape == (2, 3, 20, 16, 24)
    chunks = list(vae.decode_chunks(z, 20))
    assert [chunk.shape[2] for chunk in chunks] == [17, 3]


def test_chunks_share_nothing(vae: OpenSoraVAE, video: Tensor) -> None:
    first = vae.encode(video)
    changed = video.clone()
    changed[:, :, 17:] = 0.5
    second = vae.encode(changed)
    assert torch.equal(first[:, :, :5], second[:, :, :5])
    assert not torch.allclose(first[:, :, 5:], second[:, :, 5:])


def test_mode_is_repeatable_and_a_sample_follows_its_seed(vae: OpenSoraVAE, video: Tensor) -> None:
    def sample(seed: int) -> Tensor:
        return vae.encode(video, torch.Generator().manual_seed(seed), sample=True)

    assert torch.equal(vae.encode(video), vae.encode(video, torch.Generator().manual_seed(3)))
    assert torch.equal(sample(3), sample(3))
    assert not torch.allclose(sample(3), sample(4))
    assert not torch.allclose(sample(3), vae.encode(video))


@torch.no_grad()
def test_order_of_the_noise(vae: OpenSoraVAE, video: Tensor) -> None:
    generator = torch.Generator().manual_seed(5)
    posterior = vae.spatial_vae.posterior(video)
    noise = torch.randn(40, 4, 2, 3, generator=generator)
    latents = (posterior.mean + (posterior.logvar / 2).exp() * noise) * 0.18215
    parts = []
    for chunk in latents.view(2, 20, 4, 2, 3).transpose(1, 2).split(17, dim=2):
        part = vae.temporal_vae.encode(chunk)
        noise = torch.randn(part.mean.shape, generator=generator)
        parts.append(part.mean + (part.logvar / 2).exp() * noise)
    expected = (torch.cat(parts, 2) - vae.shift) / vae.scale
    actual = vae.encode(video, torch.Generator().manual_seed(5), sample=True)
    torch.testing.assert_close(actual, expected, rtol=0, atol=allowance(expected))


def test_half_precision_keeps_the_dtype_and_the_numbers(vae: OpenSoraVAE, video: Tensor) -> None:
    half = OpenSoraVAE(TINY).eval()
    half.load_state_dict(vae.state_dict())
    half.to(torch.bfloat16)
    exact = vae.encode(video)
    z, rounded = half.encode(video), decoded(half, exact, 20)
    assert z.dtype == rounded.dtype == torch.bfloat16
    assert float((z - exact).abs().mean() / exact.abs().mean()) < 0.02
    expected = decoded(vae, exact, 20)
    assert float((rounded - expected).abs().mean() / expected.abs().mean()) < 0.05


def test_overflow_in_float16_is_an_error(vae: OpenSoraVAE) -> None:
    half = OpenSoraVAE(TINY).eval()
    half.load_state_dict(vae.state_dict())
    half.spatial_vae.module.decoder.conv_out.bias.data.fill_(6e4)
    half.spatial_vae.module.decoder.conv_norm_out.bias.data.fill_(6e4)
    half.half()
    with pytest.raises(UserError, match=r"float16 overflowed.* bf16 or fp32"):
        decoded(half, torch.zeros(1, 4, 1, 2, 2), 1)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (torch.zeros(1, 4, 3, 16, 16), r"\[B,3,T,H,W\], got torch.float32 \[1, 4, 3, 16, 16\]"),
        (torch.zeros(3, 3, 16, 16), r"got torch.float32 \[3, 3, 16, 16\]"),
        (torch.zeros(1, 3, 3, 16, 16, dtype=torch.uint8), "got torch.uint8"),
        (torch.zeros(1, 3, 3, 7, 16), "3 frames of 16x7; allowed: at least 1 frame and 8x8 pixels"),
        (torch.zeros(1, 3, 0, 16, 16), "0 frames of 16x16"),
        (torch.zeros(0, 3, 1, 16, 16), "no videos"),
        (torch.full((1, 3, 1, 8, 8), float("nan")), "pixels from nan to nan"),
        (torch.full((1, 3, 1, 8, 8), 255.0), "pixels from 255 to 255; allowed: -1 to 1"),
    ],
)
def test_videos_that_are_none(vae: OpenSoraVAE, video: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        vae.encode(video)


@pytest.mark.parametrize(
    ("latents", "frames", "message"),
    [
        (torch.zeros(1, 8, 5, 2, 2), 17, r"\[B,4,t,h,w\], got torch.float32 \[1, 8, 5, 2, 2\]"),
        (torch.zeros(1, 4, 5, 2, 2, dtype=torch.int64), 17, "got torch.int64"),
        (torch.zeros(1, 4, 5, 2, 2), 18, "18 frames have 6 latent frames, got 5"),
        (torch.zeros(1, 4, 5, 2, 2), 0, "0 frames of 16x16"),
        (torch.full((1, 4, 1, 1, 2), float("inf")), 1, "8 of 8 latents are not finite"),
    ],
)
def test_latents_that_are_none(vae: OpenSoraVAE, latents: Tensor, frames: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        decoded(vae, latents, frames)


def test_a_sample_needs_a_generator(vae: OpenSoraVAE, video: Tensor) -> None:
    with pytest.raises(UserError, match="sample=True needs a generator"):
        vae.encode(video, sample=True)


def test_published_config_file() -> None:
    published = {
        "model_type": "VideoAutoencoderPipeline",
        "vae_2d": {
            "type": "VideoAutoencoderKL",
            "from_pretrained": "PixArt-alpha/pixart_sigma_sdxlvae_T5_diffusers",
            "subfolder": "vae",
            "micro_batch_size": 4,
            "local_files_only": False,
        },
        "vae_temporal": {"type": "VAE_Temporal_SD", "from_pretrained": None},
        "micro_frame_size": 17,
        "shift": [-0.1, 0.34, 0.27, 0.98],
        "scale": [3.85, 2.32, 2.33, 3.06],
    }
    assert OpenSoraVAEConfig.from_upstream(published) == OpenSoraVAEConfig()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vae_2d": {"type": "AutoencoderDC"}}, "type 'AutoencoderDC'; allowed: VideoAutoencoderKL"),
        ({"vae_temporal": {"type": "VAE_Temporal"}}, "allowed: VAE_Temporal_SD"),
        ({"vae_2d": {"latent_channels": 16}}, "2-D autoencoder gives 16 channels, the temporal one takes 4"),
        ({"shift": [0.0]}, "must have 4 entries"),
        ({"scale": [1.0, 1.0, 1.0, 0.0]}, "none of them 0"),
        ({"micro_frame_size": -1}, "chunk_frames -1 .* at least 1"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OpenSoraVAEConfig.from_upstream(options)
