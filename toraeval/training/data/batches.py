"""Batches of stored latents: mixed lengths of equal cost, drawn from shards that may still be growing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import BLOCK, STRIDE_T
from toraeval.models.tora.checkpoints.nano import TRAIN_COMMAND
from toraeval.training.data.batch import Batch, ReadAhead
from toraeval.training.data.clips import SHAPES_FPS
from toraeval.training.data.shards import MotionReader, Shard, stored_motion
from toraeval.training.engine.parts import Counters, Source
from toraeval.types import UserError

AHEAD = 4  # batches that are read before they are wanted
TOKEN = 2  # latent cells per side of the squares that windows are counted in


@dataclass(frozen=True)
class StepPlan:
    """What a step trains on."""

    motion: str = "sparse"  # `dense` or `sparse` or `none`: no path is given
    lengths: Mapping[int, float] = field(default_factory=lambda: {17: 1.0})  # frames -> share of steps
    max_objects: int = 3  # clips with more are left out
    # token rows and columns to keep around the path of each clip; None keeps the whole picture
    window: int | None = None
    min_objects: int = 1  # clips with fewer are left out

    def admits(self, objects: np.ndarray) -> np.ndarray:
        """Return which of these object counts the step trains on."""
        return np.asarray((objects >= self.min_objects) & (objects <= self.max_objects))


@dataclass(frozen=True)
class HeldClips:
    """Clips of one length."""

    video: Tensor  # float16 (M, t, h, w, C)
    words: Tensor  # numbers of words (M, L)
    # middle of the marks of each clip in tokens (M, 2), see `marked_centres`; needed to cut windows
    centres: Tensor | None = None
    motion: Tensor | None = None  # what the network reads of the paths (M, t, h, w, C); None for no path


class BatchSource:
    """Draws batches; every draw depends only on (seed, step, worker), so that a resumed run draws the same.

    (The set of shards must be the same too; while shards are still being written it grows.)

    Args:
        folder: where the shards lie.
        lengths: frame counts that will be drawn.
        seed: seed of the draws.
        worker: number of this worker; all workers draw the same length at the same step.
        tokens: tokens per batch and worker, whatever the length and window.
        motion: reads the motion of the drawn clips.
        clips: use only the first shards, up to this many clips of each length.
        open_shard: opens a shard by its stem; what it holds may be cut out of the stored clips.

    Raises:
        UserError: when the folder holds no shard of a wanted length.
    """

    def __init__(
        self,
        folder: Path,
        lengths: Mapping[int, float],
        seed: int = 0,
        worker: int = 0,
        tokens: int = 2560,
        motion: MotionReader | None = None,
        clips: int | None = None,
        open_shard: Callable[[Path], Shard] = Shard,
    ) -> None:
        self.motion, self.limit, self.open_shard = motion or stored_motion, clips, open_shard
        self.folder, self.seed, self.worker, self.tokens = folder, seed, worker, tokens
        self.shards: dict[int, list[Shard]] = {n: [] for n in lengths}
        self.refresh()
        empty = [n for n, found in self.shards.items() if not found]
        if empty:
            raise UserError(
                f"training data: no shards of {empty} frames in {folder}; "
                f"write them first with: {TRAIN_COMMAND}"
            )

    def refresh(self) -> int:
        """Pick up shards finished since the last look; returns the number of clips."""
        for frames, known in self.shards.items():
            stems = {s.stem for s in known}
            for text in sorted(self.folder.glob(f"f{frames:03d}_*.txt")):
                full = self.limit is not None and sum(len(s.words) for s in known) >= self.limit
                if text.with_suffix("") not in stems and not full:
                    known.append(self.open_shard(text.with_suffix("")))
        return sum(len(s.words) for known in self.shards.values() for s in known)

    def drawn_length(self, step: int, plan: StepPlan) -> int:
        """Return how many frames the clips of a step have, the same for all workers.

        Raises:
            UserError: no clip of this length has a fitting number of objects.
        """
        rng = np.random.default_rng([self.seed, step])
        shares = np.array(list(plan.lengths.values()))
        frames = int(rng.choice(list(plan.lengths), p=shares / shares.sum()))
        if not any(plan.admits(s.objects).any() for s in self.shards[frames]):
            raise UserError(
                f"training data: no clip of {frames} frames with {plan.min_objects} to {plan.max_objects} objects in "
                f"{self.folder}; write more with: {TRAIN_COMMAND} clips=N"
            )
        return frames

    def draw(self, step: int, plan: StepPlan) -> Batch:
        """Draw the batch of a step (>= 0) as its plan says.

        Raises:
            UserError: no clip of the drawn length has a fitting number of objects.
        """
        frames = self.drawn_length(step, plan)
        shard = self.shards[frames][0]
        side = plan.window or shard.side // TOKEN
        size = max(1, self.tokens // shard.length // side**2)
        rng = np.random.default_rng([self.seed, step, 1 + self.worker])
        clips, picks = self.pick(frames, size, plan, rng)
        video, motion, origins = clips.video, clips.motion, None
        if plan.window is None:
            video, motion = video[picks], None if motion is None else motion[picks]
        else:
            assert clips.centres is not None
            origins = origins_around(clips.centres[picks], plan.window, shard.side // TOKEN)
            video = cut(video, picks, origins, plan.window)
            motion = None if motion is None else cut(motion, picks, origins, plan.window)
        shown = 1 + (shard.length - 1) * STRIDE_T
        return stored_batch(video, motion, clips.words[picks], shown, origins, clips.video.shape[2:4])

    def pick(
        self, frames: int, size: int, plan: StepPlan, rng: np.random.Generator
    ) -> tuple[HeldClips, Tensor]:
        """Return clips that were read, and which of them are the batch."""
        parts: list[tuple[Shard, np.ndarray]] = []
        needed = size
        while needed:
            shard = self.shards[frames][int(rng.integers(len(self.shards[frames])))]
            allowed = np.flatnonzero(plan.admits(shard.objects))
            picks = rng.permutation(allowed)[: min(needed, 4)]
            if len(picks):
                parts.append((shard, np.sort(picks)))
                needed -= len(picks)
        motion = centres = None
        if plan.motion != "none":
            motion = torch.cat([self.motion(s, p, plan.motion) for s, p in parts])
        if plan.window is not None:
            centres = marked_centres(torch.cat([s.rows("sparse", p) for s, p in parts]))
        video = torch.cat([s.rows("video", p) for s, p in parts])
        words = torch.from_numpy(np.concatenate([s.words[p] for s, p in parts]))
        return HeldClips(video, words, centres, motion), torch.arange(size)


def stored_batch(
    video: Tensor,
    motion: Tensor | None,
    words: Tensor,
    frames: int,
    origins: Tensor | None,
    whole: Sequence[int],
) -> Batch:
    """Return stored latents (B, t, h, w, C) as a batch; `whole` is (h, w) of the whole picture in cells."""
    sides = (whole[0] // TOKEN, whole[1] // TOKEN)
    latents, fps = video.permute(0, 4, 1, 2, 3), torch.full((1,), SHAPES_FPS)
    height, width = (BLOCK * cells for cells in whole)
    return Batch(latents, motion, words, frames, height, width, fps, None, origins, sides)


def marked_centres(marks: Tensor) -> Tensor:
    """Return float32 (B, 2): the middle of the marks in token rows and columns, 0 where there are none."""
    moving = (marks - marks[:, :1]).abs().amax(dim=(1, 4)) > 0.05
    centres = torch.zeros(len(marks), 2)
    for axis, other in ((0, 2), (1, 1)):
        for b, line in enumerate(moving.any(dim=other)):
            hits = line.nonzero().flatten()
            if len(hits):
                centres[b, axis] = float(hits[0] + hits[-1] + 1) / 2 / TOKEN
    return centres


def origins_around(centres: Tensor, window: int, tokens: int) -> Tensor:
    """Return int64 (B, 2): the first tokens of windows around centres, within a square picture of so many tokens."""
    return (centres - window / 2).round().long().clamp(0, tokens - window)


def cut(clips: Tensor, picks: Tensor, origins: Tensor, window: int) -> Tensor:
    """Cut a token window out of each picked clip (M, t, h, w, C); one copy of what is kept, none of what is not."""
    cells = torch.arange(window * TOKEN, device=clips.device)
    rows, columns = (origins[:, axis, None] * TOKEN + cells for axis in (0, 1))
    times = torch.arange(clips.shape[1], device=clips.device)
    return clips[
        picks[:, None, None, None],
        times[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


class ShardedClips(Source):
    """The batches of a run, read ahead.

    Args:
        drawing: draws this process's batches.
        plan: says what a step trains on when a run is so far.
        samples: clips of the whole run, at which it ends exactly; None trains on whole batches.
        place: (rank, size) of this process among those of the run.
    """

    def __init__(
        self,
        drawing: BatchSource,
        plan: Callable[[Counters], StepPlan],
        samples: int | None,
        place: tuple[int, int],
    ) -> None:
        self.drawing, self.plan, self.samples, self.place = drawing, plan, samples, place

    def begin(self, done: Counters) -> None:
        self._done, self._clips = done, done.clips
        self._ahead = ReadAhead(self._read, self.place, self.place[1], AHEAD)

    def batch(self, step: int, number: int) -> Batch:
        batch = self._ahead.take(step, number)
        if self.samples is None:
            return batch
        rank, size = self.place
        left = self.samples - self._done.clips
        return batch.first(max(1, (left + size - 1 - rank) // size))

    def close(self) -> None:
        self._ahead.close()

    def _read(self, step: int, number: int) -> Batch:
        if step % 200 == 0:
            self.drawing.refresh()
        batch = self.drawing.draw(step, self.plan(Counters(step, self._clips, self._done.seconds)))
        self._clips += self.place[1] * len(batch)
        return batch
