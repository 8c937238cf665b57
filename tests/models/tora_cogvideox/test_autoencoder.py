"""The autoencoder's conventions: scale, posterior, sizes; loading is strict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from toraeval.models.tora_cogvideox.autoencoder import VideoAutoencoder, load_autoencoder
from toraeval.types import MissingAsset, UserError

pytest.importorskip("diffusers")


def known(mean: Tensor, std: Tensor, inverts: bool = False) -> VideoAutoencoder:
    """An autoencoder whose posterior is given."""
    vae = torch.nn.Module()
    vae.config = SimpleNamespace(
        latent_channels=16, temporal_compression_ratio=4, block_out_channels=(1, 1, 1, 1), scaling_factor=0.7,
        invert_scale_latents=inverts,
    )  # fmt: skip
    vae.encode = lambda video: SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, std=std))
    return VideoAutoencoder(vae)


def test_flow_latents_are_the_recorded_ones(recorded: Callable[[str], Any]) -> None:
    golden = recorded("pipeline_tiny_a")
    mean, std = golden["vae_posterior_mean"], golden["vae_posterior_std"]
    video = (golden["flow_image_uint8"] / 127.5 - 1).transpose(0, 1)[None]
    z = known(mean, std).encode(video, "sample", lambda like: golden["vae_posterior_noise"])
    torch.testing.assert_close(z.transpose(1, 2), golden["flow_latents"], rtol=1e-5, atol=1e-6)
    mode = known(mean, std).encode(video, "mode", lambda like: pytest.fail("the mode needs no noise"))
    torch.testing.assert_close(mode, 0.7 * mean)


def test_first_frame_of_weights_with_inverted_scale() -> None:
    mean, image = torch.ones(1, 16, 1, 2, 2), torch.zeros(1, 3, 16, 16)
    for inverts, expected in ((False, 0.7), (True, 1 / 0.7)):
        z = known(mean, mean, inverts).encode_image(image, "mode", torch.randn_like)
        torch.testing.assert_close(z, expected * mean)


@pytest.mark.parametrize("frames", [9, 17])
def test_sizes_of_a_real_one(tiny_vae: VideoAutoencoder, frames: int) -> None:
    video = torch.zeros(1, 3, frames, 16, 32)
    z = tiny_vae.encode(video, "mode", torch.randn_like)
    assert tuple(z.shape[2:]) == tiny_vae.latent_size(frames, 16, 32) == ((frames - 1) // 4 + 1, 2, 4)
    assert tiny_vae.decode(z).shape == video.shape


def test_decoding_undoes_the_scale(tiny_vae: VideoAutoencoder) -> None:
    z = torch.randn(1, 16, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(tiny_vae.decode(0.7 * z), tiny_vae.vae.decode(z).sample)


def test_loading_is_strict(parts: Path, tiny_vae: VideoAutoencoder, tmp_path: Path) -> None:
    loaded = load_autoencoder(parts / "vae", tiling=True)
    state = tiny_vae.vae.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.vae.state_dict().items())
    assert loaded.vae.use_tiling
    assert not tiny_vae.vae.use_tiling

    folder = tmp_path / "vae"
    shutil.copytree(parts / "vae", folder)
    options = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**options, "latent_channels": 4}))
    with pytest.raises(UserError, match=r"does not fit this model: .* of another shape"):
        load_autoencoder(folder)
    (folder / "config.json").write_text(json.dumps({**options, "strange": 4}))
    with pytest.raises(UserError, match=r"describes no CogVideoX autoencoder: .*strange"):
        load_autoencoder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(MissingAsset, match=r"no autoencoder at .*; name one with model\.vae=FOLDER"):
        load_autoencoder(folder)


def test_unknown_posterior(tiny_vae: VideoAutoencoder) -> None:
    with pytest.raises(UserError, match="posterior=mean; allowed: sample, mode"):
        tiny_vae.encode(torch.zeros(1, 3, 9, 16, 16), "mean", torch.randn_like)
