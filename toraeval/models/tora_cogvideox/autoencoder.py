"""CogVideoX's video autoencoder (diffusers), which also encodes the picture of the trajectories.

Source of the conventions: alibaba/Tora 9a23dce, `diffusers-version/tora/{t2v,i2v}_pipeline.py`.

Legend: B batch, C channels, T frames or latent frames, H rows, W columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.allowed import check_option
from toraeval.models.shared.noise import Draw
from toraeval.models.shared.weight_files import StateReader, fill
from toraeval.models.tora_cogvideox.checkpoint import CONFIG_FILE, FETCH, WHAT, read_json
from toraeval.models.tora_cogvideox.transformer import diffusers_module
from toraeval.types import MissingAsset, UserError

POSTERIORS = ("sample", "mode")


class VideoAutoencoder(nn.Module):
    """Scaled latents of CogVideoX's autoencoder.

    Memory stays bounded in time because diffusers works through a clip eight frames at a time; tiling bounds it in
    space, at the price of faint seams.

    Args:
        vae: diffusers' `AutoencoderKLCogVideoX`.
        tiling: encode and decode overlapping parts of the picture.
    """

    def __init__(self, vae: Any, tiling: bool = False) -> None:
        super().__init__()
        self.vae = vae
        self.latent_channels = int(vae.config.latent_channels)
        self.stride_t = int(vae.config.temporal_compression_ratio)
        self.stride = 2 ** (len(vae.config.block_out_channels) - 1)
        self.scale = float(vae.config.scaling_factor)
        self.inverts_image_scale = bool(vae.config.invert_scale_latents)
        if tiling:
            vae.enable_tiling()

    def latent_size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Return (t, h, w) of the latents of a clip."""
        return (frames - 1) // self.stride_t + 1, height // self.stride, width // self.stride

    @torch.no_grad()
    def encode(self, video_BCTHW: Tensor, posterior: str, draw: Draw) -> Tensor:
        """Encode to latents (B, C, t, h, w) times the scaling factor.

        Args:
            video_BCTHW: in [-1, 1].
            posterior: `sample` (as upstream) or `mode`.
            draw: gives the noise of the sample, once.

        Raises:
            UserError: an unknown posterior.
        """
        check_option(WHAT, "posterior", posterior, POSTERIORS)
        found = self.vae.encode(video_BCTHW).latent_dist
        z = found.mean if posterior == "mode" else found.mean + found.std * draw(found.mean)
        return self.scale * z

    def encode_image(self, image_BCHW: Tensor, posterior: str, draw: Draw) -> Tensor:
        """Encode a first frame as a clip of one frame.

        Some published image-to-video weights were trained with the scaling factor the wrong way round, and their
        autoencoder's configuration says so.
        """
        z = self.encode(image_BCHW[:, :, None], posterior, draw)
        return z / self.scale**2 if self.inverts_image_scale else z

    @torch.no_grad()
    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        """Decode scaled latents to a clip of roughly [-1, 1]."""
        return self.vae.decode(latents_BCTHW / self.scale).sample


def load_autoencoder(
    path: Path | str,
    tiling: bool = False,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> VideoAutoencoder:
    """Load a diffusers `vae/` folder strictly, in eval mode, gradients off.

    Args:
        path: folder with config.json and weights.
        tiling: see `VideoAutoencoder`.
        device: where the weights go.
        dtype: type of the weights afterwards.

    Raises:
        MissingAsset: no such folder.
        MissingDependency: diffusers is not installed.
        UserError: a configuration, keys or shapes that do not fit, or damaged files.
    """
    reader = _open(path)
    file = reader.path / CONFIG_FILE
    options = {name: value for name, value in read_json(file).items() if not name.startswith("_")}
    try:
        with torch.device("meta"):
            vae = diffusers_module("diffusers").AutoencoderKLCogVideoX(**options)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{WHAT}: {file} describes no CogVideoX autoencoder: {error}; run: {FETCH}"
        ) from error
    fill(vae, reader, device, dtype)
    return VideoAutoencoder(vae.eval().requires_grad_(False), tiling)


def autoencoder_files(path: Path | str) -> tuple[Path, ...]:
    """Return the files whose bytes decide the autoencoder; see `load_autoencoder` for the errors."""
    reader = _open(path)
    return (*reader.files, reader.path / CONFIG_FILE)


def _open(path: Path | str) -> StateReader:
    path = Path(path).expanduser()
    if not (path / CONFIG_FILE).is_file():
        raise MissingAsset(
            f"{WHAT}: no autoencoder at {path} (the vae/ folder of a CogVideoX release in diffusers' layout); "
            f"name one with model.vae=FOLDER or run: {FETCH}"
        )
    return StateReader(path, f"{WHAT} autoencoder", FETCH)
