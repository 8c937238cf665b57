"""The loss that all embedded models are trained with, and measured on validation scenes at fixed noise.

Half of the clips are fast: 17 frames in which an object travels its whole path. Half are slow: 17 frames out of clips
of 65 and 129. All are whole pictures, all come from scenes of the validation split that no other choice rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from toraeval.config.training_tasks import ValidateOptions
from toraeval.models.shared.nano.caption_encoder import tokenise
from toraeval.models.shared.nano.linear_patches import BLOCK, STRIDE_T, LinearPatchAutoencoder
from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.store.sealed import atomic
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.suite import sample_scene
from toraeval.training.data.batch import Batch
from toraeval.training.data.batches import stored_batch
from toraeval.training.data.scenes import FRAMES, SIZE, excerpt_starts
from toraeval.training.data.shards import load_vae
from toraeval.training.engine.log import write_rows
from toraeval.training.recipes.learners import Learner, learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.types import FloatArray, UserError

FIRST_SCENE = 10_000  # the first scenes of the split choose steps and follow a run
CLIPS = 48  # of each kind
WORLD = 2  # version of the world, that of training
BATCH = 8
KINDS = ("fast", "slow")
SAMPLED = ("object_one", "object_several", "rest")
MEASURES = (*KINDS, "all", *SAMPLED)
SLOW_LENGTHS = (65, 129)


@dataclass(frozen=True)
class ValidationClips:
    """Latents float16 (M, t, h, w, C), paths of each clip (N, 17, 2) in pixels, word numbers (M, L), kinds."""

    video: Tensor
    tracks: tuple[FloatArray, ...]
    words: Tensor
    kinds: tuple[str, ...]

    @classmethod
    @torch.no_grad()
    def render(cls, vae: LinearPatchAutoencoder, count: int) -> ValidationClips:
        """Render and encode `count` clips of each kind."""
        video, tracks, words, kinds = [], [], [], []
        for k in range(len(KINDS) * count):
            scene = sample_scene("validation", FIRST_SCENE + k, WORLD)
            slow = k >= count
            frames = SLOW_LENGTHS[k % 2] if slow else FRAMES
            starts = excerpt_starts(frames)
            start = starts[k // 2 % len(starts)]
            renderer = SceneRenderer(scene, frames, SIZE, SIZE)
            pictures = np.stack([renderer.frame(t) for t in range(start, start + FRAMES)])
            video.append(vae.encode(pictures).permute(1, 2, 3, 0).half())
            tracks.append(renderer.tracks_NT2[:, start : start + FRAMES])
            words.append(tokenise(scene.caption))
            kinds.append(KINDS[slow])
        return cls(torch.stack(video), tuple(tracks), torch.tensor(words), tuple(kinds))

    @classmethod
    def prepare(cls, folder: Path) -> None:
        """Write `validation.npz` into a folder that has its `vae.safetensors`, unless it is there."""
        path = folder / "validation.npz"
        if not path.exists():
            cls.render(load_vae(folder / "vae.safetensors"), CLIPS).save(path)

    def save(self, path: Path) -> None:
        """Write the clips as one `.npz` file; paths are filled up with NaN."""
        tracks = np.full((len(self.tracks), max(map(len, self.tracks)), FRAMES, 2), np.nan)
        for row, paths in zip(tracks, self.tracks, strict=True):
            row[: len(paths)] = paths
        video, words = self.video.numpy(), self.words.numpy()
        atomic(path, lambda file: np.savez(file, video=video, tracks=tracks, words=words, kinds=self.kinds))

    @classmethod
    def load(cls, path: Path) -> ValidationClips:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            with np.load(path) as stored:
                tracks = tuple(rows[np.isfinite(rows).all((1, 2))] for rows in stored["tracks"])
                video, words = (torch.from_numpy(stored[name]) for name in ("video", "words"))
                return cls(video, tracks, words, tuple(map(str, stored["kinds"])))
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f"validation clips: {path} cannot be read ({error}); remove it and run the same command again"
            ) from error


class CleanLoss:
    """Clean-latent error of rectified flow; latent frame 0 is given clean and left out.

    The channels are weighed by the variance of their component of the autoencoder to the power `channel_power`.
    """

    def __init__(
        self,
        learner: Learner,
        vae: LinearPatchAutoencoder,
        flow: FlowConfig,
        channel_power: float,
        device: str = "cpu",
    ) -> None:
        self.learner, self.vae, self.device = learner, vae, torch.device(device)
        self.flow = RectifiedFlow(flow)
        weights = vae.scale.square() ** channel_power
        self.channel_weights = (weights / weights.mean()).to(self.device)

    def losses(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, text_dropout: float
    ) -> Tensor:
        """Return the loss of each clip, float32 (B,), >= 0.

        Times, noise and the share of dropped captions are drawn on the CPU or where the network is.
        """
        x0 = batch.latents_BCTHW.to(self.device).float()
        size = ClipSize(float(batch.height), float(batch.width), float(batch.frames))
        b, _, t = x0.shape[:3]
        times = self.flow.sample_times(b, size, generator).to(self.device)
        noise = torch.randn(x0.shape, generator=generator, device=generator.device).to(self.device)
        mask = torch.ones(b, t, dtype=torch.bool, device=self.device)
        mask[:, 0] = False
        with torch.autocast(self.device.type, torch.bfloat16):
            chances = torch.rand(b, generator=generator, device=generator.device).to(self.device)
            dropped = chances < text_dropout
            denoise = self.learner.denoiser(model, batch, dropped, x0[:, :, :1])
            return self.flow.loss(denoise, x0, times, noise, mask, self.channel_weights)

    def one_step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Sample clips in one step from pure noise, float32 (B, C, t, h, w)."""
        x0 = batch.latents_BCTHW.to(self.device).float()
        b, _, t = x0.shape[:3]
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        mask = torch.ones(b, t, dtype=torch.bool, device=self.device)
        mask[:, 0] = False
        x = torch.where(mask[:, None, :, None, None], noise, x0)
        with torch.autocast(self.device.type, torch.bfloat16):
            kept = torch.zeros(b, dtype=torch.bool, device=self.device)
            denoise = self.learner.denoiser(model, batch, kept, x0[:, :, :1])
            return denoise(x, torch.full((b,), 1000.0, device=self.device), mask)


class HeldOut:
    """Measures a network on held-out clips.

    Noise and times depend on nothing but the place of a clip, so that every model and every state of it meets the
    same ones. No caption is dropped.
    """

    def __init__(self, model: nn.Module, errors: CleanLoss, clips: ValidationClips) -> None:
        self.model, self.errors, self.clips = model, errors, clips

    @cached_property
    def batches(self) -> list[Batch]:
        """The clips in batches with the motion input of the network, which does not depend on its weights."""
        made, kind, clips, network = [], self.errors.learner, self.clips, self.model.config
        for begin in range(0, len(clips.video), BATCH):
            part = slice(begin, begin + BATCH)
            motion = None
            if kind.follows(network):
                pairs = zip(clips.tracks[part], clips.video[part, 0], strict=True)
                motion = torch.stack([kind.motion(network, self.errors.vae, *pair) for pair in pairs])
            video, words = clips.video[part], clips.words[part]
            made.append(stored_batch(video, motion, words, FRAMES, None, clips.video.shape[2:4]))
        return made

    @torch.no_grad()
    def loss(self) -> dict[str, float]:
        """Return the mean loss of the fast clips, of the slow ones, and of all."""
        losses = []
        for k, batch in enumerate(self.batches):
            generator = torch.Generator().manual_seed(k * BATCH)
            losses.append(self.errors.losses(self.model, batch, generator, text_dropout=0.0).cpu())
        each = torch.cat(losses).double()
        found = {name: float(each[[k == name for k in self.clips.kinds]].mean()) for name in KINDS}
        return {**found, "all": float(each.mean())}

    @torch.no_grad()
    def sampled_errors(self) -> dict[str, float]:
        """Return how far clips sampled in one step are from the true ones, grey levels against what decoding can give.

        The rows of the autoencoder's basis are orthonormal, so the error of the pixels is that of the scaled latents.

        Returns:
            `object_one`, `object_several`: root mean square over the cells within 48 px of a path, of clips with one
            and with several objects; `rest`: over all other cells of all clips. The first latent frame, given, is left
            out.
        """
        sums = {name: torch.zeros(2, dtype=torch.float64) for name in SAMPLED}
        vae = self.errors.vae
        for k, batch in enumerate(self.batches):
            made = self.errors.one_step(self.model, batch)[:, :, 1:].cpu()
            truth = batch.latents_BCTHW[:, :, 1:].float()
            square = ((made - truth) * vae.scale.view(-1, 1, 1, 1)).square().sum(1) / vae.mean.numel()
            for paths, error in zip(self.clips.tracks[k * BATCH : (k + 1) * BATCH], square, strict=True):
                near = near_paths(paths, *error.shape[1:])
                name = "object_one" if len(paths) == 1 else "object_several"
                sums[name] += torch.tensor([float(error[near].sum()), float(near.sum())])
                sums["rest"] += torch.tensor([float(error[~near].sum()), float((~near).sum())])
        return {name: float((total / count.clamp_min(1)).sqrt()) for name, (total, count) in sums.items()}


def near_paths(tracks_NT2: FloatArray, rows: int, columns: int, reach: float = 48.0) -> Tensor:
    """Return bool (t - 1, rows, columns): the cells that lie within `reach` pixels of a path at some frame."""
    points = torch.from_numpy(tracks_NT2[:, 1:]).float().unflatten(1, (-1, STRIDE_T))
    edges = [torch.arange(n) * BLOCK for n in (columns, rows)]
    x, y = ((e - points[..., k, None]).clamp_min(0) + (points[..., k, None] - e - BLOCK).clamp_min(0)
            for k, e in enumerate(edges))  # fmt: skip
    return ((x[..., None, :] ** 2 + y[..., :, None] ** 2) <= reach**2).any(2).any(0)


def main(options: ValidateOptions) -> int:
    """Measure weights and write the table.

    Raises:
        UserError: an unknown model, or weights that do not load.
    """
    torch.set_num_threads(1)
    kind = learner(options.model)
    model, vae = kind.load(Path(options.weights) if options.weights else kind.shipped())
    plain = NanoRecipe(model=options.model)
    errors = CleanLoss(kind, vae, plain.flow, plain.channel_power)
    losses = HeldOut(model, errors, ValidationClips.render(vae, options.clips)).loss()
    counts = {name: options.clips for name in KINDS} | {"all": len(KINDS) * options.clips}
    rows = [{"kind": name, "clips": counts[name], "loss": f"{loss:.5f}"} for name, loss in losses.items()]
    write_rows(Path(options.table or f"docs/models/{options.model}_validation.csv"), rows)
    return 0
