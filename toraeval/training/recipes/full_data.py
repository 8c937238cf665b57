"""What the full model is trained on: clips, and the frozen parts in front of the network.

Random stand-ins for published parts, so that a run can be tried, tested and timed where these are absent, are used on
request only (`vae=random`, `text_encoder=random`), and the model card says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval import assets
from toraeval.config.trainings import FullSizeOptions
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.weight_files import StateReader
from toraeval.models.tora.autoencoder.spatial import SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAEConfig
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.models.tora.checkpoints import importers
from toraeval.models.tora.checkpoints.parts import RANDOM, need_channels
from toraeval.models.tora.conditions.t5 import Captioner, T5Captions, encode_ahead
from toraeval.registry import unknown
from toraeval.training.data.clips import ClipSource, ShapesClips
from toraeval.training.data.feed import Encoders
from toraeval.training.engine.distributed import World
from toraeval.training.engine.launch import say
from toraeval.training.engine.parts import draws
from toraeval.types import UserError, counted


def source_of(options: FullSizeOptions) -> ClipSource:
    """Return the clips that the options name; raises UserError as their classes do."""
    if options.data == "shapes":
        return ShapesClips(options.clips)
    from toraeval.training.data.video_folder import CutRules, VideoFolder

    cut = options.cut or {}
    allowed = [f.name for f in fields(CutRules)]
    for name in cut:
        if name not in allowed:
            raise UserError(unknown("option of cut", name, allowed))
    raft: dict[str, Any] = {}
    if options.flow_estimator == "raft":
        raft = {"weights": options.flow_weights, "device": options.device}
    folder = VideoFolder(
        options.data, options.flow_estimator, CutRules(**cut), Path(options.folder) / "flow", **raft
    )
    if folder.skipped:
        file, reason = folder.skipped[0]
        say(
            f"{counted(len(folder.skipped), 'video')} left out, {len(folder.entries)} used; the first: {file}: {reason}"
        )
    return folder


def encoders_of(options: FullSizeOptions, config: STDiTConfig, world: World) -> Encoders:
    """Return autoencoder and text encoder; raises MissingAsset where their weights are not there."""
    assert options.vae is not None  # `check` refuses that
    assert options.text_encoder is not None
    if options.vae == RANDOM:
        vae, facts = random_vae(options.seed), {"vae": RANDOM, "seed": options.seed}
    else:
        vae = importers.load_vae(options.vae)
        need_channels(vae, options.vae, config)
        facts = {
            "vae": world.from_first(weights_hash(options.vae, "tora autoencoder") if world.first else None)
        }
    captions: Captioner
    clean: Callable[[str], str] = str
    if options.text_encoder == RANDOM:
        captions = RandomCaptions(config.caption_channels, config.model_max_length, world.device)
    else:
        from toraeval.models.tora.conditions.prompts import clean_caption

        clean = clean_caption

        cache = Path(options.folder) / "captions"
        captions = T5Captions(
            options.text_encoder,
            config.model_max_length,
            world.device,
            options.precision,
            cache,
            width=config.caption_channels,
        )
    sample = options.posterior == "sample"
    return Encoders(vae.to(world.device), facts, captions, clean, sample, options.precision)


def captions_ahead(source: ClipSource, encoders: Encoders, world: World) -> None:
    """Compute the features of all captions in the first process, then give the encoder's memory back."""
    if world.first:
        encode_ahead(encoders.captions, map(encoders.clean, source.captions))
    world.wait()


def weights_hash(path: str, what: str) -> str:
    """Return the SHA-256 over the weight files of a path; raises MissingAsset where there are none."""
    files = StateReader(path, what, importers.FETCH).files
    return assets.files_sha256(files)


def random_vae(seed: int) -> OpenSoraVAE:
    """Return a small autoencoder of the published kind with random weights, in eval mode, gradients off."""
    config = OpenSoraVAEConfig(
        spatial=SpatialVAEConfig(block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2),
        temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return OpenSoraVAE(config).eval().requires_grad_(False)


class RandomCaptions:
    """Features that depend on the caption's words only."""

    def __init__(self, channels: int, max_length: int, device: torch.device) -> None:
        self.channels, self.max_length, self.device = channels, max_length, device

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        features = torch.zeros(len(prompts), 1, self.max_length, self.channels)
        mask = torch.zeros(len(prompts), self.max_length, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            words = prompt.split()[: self.max_length] or [""]
            mask[row, : len(words)] = 1
            for place, word in enumerate(words):
                features[row, 0, place] = torch.randn(self.channels, generator=draws("word", word))
        return features.to(self.device), mask.to(self.device)

    def release(self) -> None:
        pass  # there is no encoder to give back

    def fingerprint(self) -> dict[str, Any]:
        return {"text_encoder": RANDOM, "channels": self.channels, "max_length": self.max_length}
