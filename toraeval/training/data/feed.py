"""From clips to batches: which clips a step sees, at which size, and their latents, motion and captions.

Reading and rendering run ahead in a thread; the autoencoder runs where the network runs. Everything that is drawn
depends on (seed, step, batch, clip) alone, so the same batch comes out in any process and after any interruption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.weight_files import read_safetensors, write_safetensors
from toraeval.models.tora.autoencoder.video import OpenSoraVAE
from toraeval.models.tora.conditions.flow_sampling import sample_trajectories
from toraeval.models.tora.conditions.motion import motion_input
from toraeval.models.tora.conditions.t5 import Captioner
from toraeval.store import keys
from toraeval.training.data.batch import Batch, ReadAhead
from toraeval.training.data.buckets import BucketPlan
from toraeval.training.data.clips import ClipSource, TrainingClip
from toraeval.training.engine.distributed import World
from toraeval.training.engine.parts import Source, draws
from toraeval.training.recipes.full_recipe import FullRecipe
from toraeval.types import UserError

AHEAD = 2  # batches that are read before they are wanted


@dataclass(frozen=True)
class Encoders:
    """Frozen parts in front of the network."""

    vae: OpenSoraVAE  # float32 autoencoder of clips and motion pictures, on the device of the network
    vae_fingerprint: Any  # what decides its latents
    captions: Captioner  # caption features; computed before training, so that only stored ones are read here
    clean: Callable[[str], str] = str  # applied to captions first, as to prompts in inference
    sample: bool = False  # sample the autoencoder's posterior, as upstream does, instead of taking its mode
    precision: str = "fp32"  # `bf16` runs the autoencoder under autocast


class Feed(Source):
    """The batches of a run.

    With a `cache`, a folder for latents of clips, a video gives the same cut in every epoch, since latents of ever new
    cuts would not be met again.

    Raises:
        UserError: a cache together with a sampled posterior.
    """

    def __init__(
        self,
        source: ClipSource,
        plan: BucketPlan,
        config: STDiTConfig,
        encoders: Encoders,
        recipe: FullRecipe,
        world: World,
        cache: Path | None = None,
    ) -> None:
        if cache is not None and encoders.sample:
            raise UserError(
                "train: cache=... stores one latent per clip, posterior=sample draws a new one each time; allowed "
                "together: posterior=mode"
            )
        self.source, self.plan, self.config, self.encoders = source, plan, config, encoders
        self.recipe, self.world, self.cache = recipe, world, cache
        place = (world.rank, world.size)
        self._ahead = ReadAhead(self._clips, place, recipe.batches_per_step, AHEAD, recipe.steps)

    def batch(self, step: int, number: int) -> Batch:
        """Return a batch on the device of the network.

        Raises:
            UserError: a clip without flow, or one that cannot be read.
        """
        clips = self._ahead.take(step, number)
        size, indices = self.plan.batch(step, number)
        device = self.world.device
        latents, motion = [], []
        with torch.autocast(device.type, torch.bfloat16, enabled=self.encoders.precision == "bf16"):
            for k, (index, clip) in enumerate(zip(indices, clips, strict=True)):
                chance = draws(self.recipe.seed, "encode", step, number, k)
                latents.append(self._latents(clip, index, chance))
                motion.append(self._motion(clip, index, self.recipe.stage(step), chance))
        features, mask = self.encoders.captions.encode([self.encoders.clean(clip.caption) for clip in clips])
        return Batch(
            torch.stack(latents).to(device),
            torch.stack(motion).to(device),
            features.to(device),
            size.frames,
            size.height,
            size.width,
            torch.tensor([clip.fps for clip in clips], device=device),
            mask.to(device),
        )

    def close(self) -> None:
        self._ahead.close()

    def _clips(self, step: int, number: int) -> list[TrainingClip]:
        size, indices = self.plan.batch(step, number)
        moment = ("cut",) if self.cache is not None else (step, number, "clip")
        return [
            self.source.clip(
                index, size.frames, size.height, size.width, draws(self.recipe.seed, *moment, index)
            )
            for index in indices
        ]

    def _latents(self, clip: TrainingClip, index: int, generator: torch.Generator) -> Tensor:
        if self.cache is None:
            return self._encode(clip, generator)
        # the pixels themselves are the key, so that no change of videos, sizes or cuts can go unnoticed
        pixels = hashlib.sha256(clip.video_TCHW.tobytes()).hexdigest()
        what = [pixels, clip.video_TCHW.shape, self.encoders.vae_fingerprint, self.encoders.precision]
        file = self.cache / f"{keys.digest(what)}.safetensors"
        if not file.is_file():
            write_safetensors(file, {"latents": self._encode(clip, generator)}, {"video": index})
        return read_safetensors(file, "cached latents", f"rm '{file}'")["latents"]

    def _encode(self, clip: TrainingClip, generator: torch.Generator) -> Tensor:
        video = torch.from_numpy(clip.video_TCHW).to(self.world.device).transpose(0, 1)[None]
        return self.encoders.vae.encode(video.float() / 127.5 - 1, generator, self.encoders.sample)[0].float()

    def _motion(self, clip: TrainingClip, index: int, stage: str, generator: torch.Generator) -> Tensor:
        flow = clip.flow_THW2
        if flow is None:
            raise UserError(
                f"train: video {index} ('{clip.caption}') has no optical flow; choose an estimator, e.g. "
                "flow_estimator=dis"
            )
        chance = generator if self.encoders.sample else None
        given: dict[str, Any] = {"flow_THW2": flow}
        if stage == "sparse" and len(flow) > 1:  # a picture has no trajectories
            seed = int(torch.randint(2**62, (), generator=generator))
            points = sample_trajectories(flow, np.random.default_rng(seed))
            given = {"points_NT2": points, "size": flow.shape[1:3]}
        vae = self.encoders.vae
        return motion_input(self.config, vae, stage="training", generator=chance, **given)[0].float()
