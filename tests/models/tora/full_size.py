"""Folders of networks small enough for tests, laid out as the published ones are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from toraeval.models.shared.network.config import STDiTConfig, tiny
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.weight_files import write_safetensors
from toraeval.models.tora.autoencoder.tiling import Tiling
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.models.tora.checkpoints.importers import save_stdit
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.types import ByteArray, Case, FloatArray, Trajectories

VAE_OPTIONS = {
    "vae_2d": {"block_out_channels": [8, 8, 8, 8], "layers_per_block": 1, "norm_num_groups": 4},
    "vae_temporal": {
        "filters": 8,
        "num_res_blocks": 1,
        "channel_multipliers": [1, 1, 1, 1],
        "num_groups": 4,
    },
}
WORDS = "a red ball moves left the sea never aesthetic score: 6.5. motion 5.0. camera motion: pan left."


def shake(module: nn.Module, seed: int, std: float) -> None:
    """Fill all trainable parameters with noise, so that no branch is zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


def network(config: STDiTConfig) -> STDiT3:
    """A transformer of random weights."""
    model = STDiT3(config) if config.fuser == "none" else ToraNetwork(config)
    shake(model, 0, 0.1)
    return model.eval().requires_grad_(False)


def autoencoder() -> OpenSoraVAE:
    """An autoencoder of random weights."""
    vae = OpenSoraVAE(OpenSoraVAEConfig.from_upstream(VAE_OPTIONS))
    shake(vae, 1, 0.2)
    return vae.eval().requires_grad_(False)


def write_dit(folder: Path, fuser: str = "adaptive_norm") -> Path:
    """A transformer folder."""
    config = replace(tiny(), fuser=fuser)
    return save_stdit(folder, network(config).state_dict(), config, {}, torch.float32)


def write_vae(folder: Path) -> Path:
    """An autoencoder folder."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(VAE_OPTIONS))
    write_safetensors(folder / "model.safetensors", autoencoder().state_dict(), {}, torch.float32)
    return folder


def write_t5(folder: Path) -> Path:
    """A text encoder folder with a tokenizer that knows `WORDS`."""
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import Unigram
    from tokenizers.pre_tokenizers import Metaspace

    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *(f"\u2581{word}" for word in WORDS.split())]
    tokenizer = Tokenizer(Unigram([(piece, -1.0) for piece in pieces], unk_id=2))
    tokenizer.pre_tokenizer = Metaspace()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = transformers.T5Config(
        vocab_size=len(pieces), d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4
    )
    torch.manual_seed(2)
    transformers.T5EncoderModel(config).save_pretrained(folder)
    return folder


def paths(count: int, frames: int, width: int, height: int) -> FloatArray:
    """Straight paths across the picture, each at its own height."""
    x = np.linspace(0.2 * width, 0.7 * width, frames)
    y = np.linspace(0.1, 0.9, count) * height
    return np.stack([np.stack([x, np.full(frames, v)], axis=-1) for v in y])


def picture(height: int, width: int, seed: int = 0) -> ByteArray:
    """A smooth picture."""
    corners = np.random.default_rng(seed).uniform(0, 255, (2, 2, 1, 1, 3))
    y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    top, bottom = (row[0] * (1 - x) + row[1] * x for row in corners)
    return (top * (1 - y) + bottom * y).astype(np.uint8)


def make_case(
    frames: int = 17,
    height: int = 32,
    width: int = 48,
    count: int = 1,
    pictures: int = 0,
    prompt: str = "a red ball moves left",
    camera: int = 0,
) -> Case:
    """A case with a number of paths, given frames and camera paths."""

    def trajectories(number: int) -> Trajectories:
        tracks = paths(number, frames, width, height)
        return Trajectories(tracks, np.ones(tracks.shape[:2], bool), (width, height))

    return Case(
        id="case",
        suite="test-v1",
        prompt=prompt,
        trajectories=trajectories(count),
        frames=frames,
        height=height,
        width=width,
        fps=24.0,
        seed=0,
        first_frame_HWC=picture(height, width, 0) if pictures else None,
        last_frame_HWC=picture(height, width, 1) if pictures > 1 else None,
        camera=trajectories(camera) if camera else None,
    )


def decoded(vae: OpenSoraVAE, z: Tensor, frames: int, tiling: Tiling | None = None) -> Tensor:
    """Decode a whole video (B, 3, frames, 8h, 8w)."""
    return torch.cat(list(vae.decode_chunks(z, frames, tiling)), dim=2)
