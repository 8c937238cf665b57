"""Batches of stored latents: mixed lengths of equal cost, drawn from shards that may still be growing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import numpy as np
import torch
from torch import Tensor

from toraeval.models.tora.text import tokenise
from toraeval.types import UserError

LATENT_FRAMES_PER_BATCH = 80


@dataclass(frozen=True)
class Batch:
    """Latents (B, t, h, w, C) float16 of clip and motion picture, word numbers (B, L), frame count."""

    video: Tensor
    motion: Tensor
    words: Tensor
    frames: int

    @property
    def clips(self) -> int:
        return int(self.video.shape[0])


class Shard:
    """One mapped shard with its captions."""

    def __init__(self, stem: Path) -> None:
        self.stem = stem
        captions = stem.with_suffix(".txt").read_text().splitlines()
        self.words = np.array([tokenise(c) for c in captions])
        self.objects = np.array([c.count(" disc") for c in captions])
        self._maps: dict[str, np.ndarray] = {}

    def rows(self, name: str, picks: np.ndarray) -> Tensor:
        """Return the picked clips of `video`, `sparse` or `dense`."""
        if name not in self._maps:
            self._maps[name] = np.load(self.stem.with_name(f"{self.stem.name}_{name}.npy"), mmap_mode="r")
        return torch.from_numpy(np.stack([self._maps[name][i] for i in picks]))


class BatchSource:
    """Draws batches; every draw depends only on (seed, step), so that training resumes to the same batches.

    (The set of shards must be the same too; while shards are still being written it grows.)

    Args:
        folder: where the shards lie.
        lengths: frame count -> share of the steps.
        seed: seed of the draws.

    Raises:
        UserError: when the folder holds no shard of a wanted length.
    """

    def __init__(self, folder: Path, lengths: dict[int, float], seed: int = 0) -> None:
        self.folder, self.lengths, self.seed = folder, lengths, seed
        self.shards: dict[int, list[Shard]] = {n: [] for n in lengths}
        self.refresh()
        empty = [n for n, found in self.shards.items() if not found]
        if empty:
            raise UserError(
                f"training data: no shards of {empty} frames in {folder}; "
                "write them first with: python -m toraeval.training.shards --help"
            )

    def refresh(self) -> int:
        """Pick up shards finished since the last look; returns the number of clips."""
        for frames, known in self.shards.items():
            stems = {s.stem for s in known}
            for text in sorted(self.folder.glob(f"f{frames:03d}_*.txt")):
                if text.with_suffix("") not in stems:
                    known.append(Shard(text.with_suffix("")))
        return sum(len(s.words) for known in self.shards.values() for s in known)

    def draw(self, step: int, motion: str, max_objects: int = 3) -> Batch:
        """Draw the batch of a step.

        Args:
            step: training step, >= 0.
            motion: `dense` or `sparse`.
            max_objects: leave out clips with more objects.
        """
        rng = np.random.default_rng([self.seed, step])
        frames = int(rng.choice(list(self.lengths), p=np.array(list(self.lengths.values())) / sum(self.lengths.values())))
        size = max(2, LATENT_FRAMES_PER_BATCH // (1 + (frames - 1) // 4))
        parts: list[tuple[Shard, np.ndarray]] = []
        needed = size
        while needed:
            shard = self.shards[frames][int(rng.integers(len(self.shards[frames])))]
            allowed = np.flatnonzero(shard.objects <= max_objects)
            picks = rng.permutation(allowed)[: min(needed, 4)]
            if len(picks):
                parts.append((shard, np.sort(picks)))
                needed -= len(picks)
        return Batch(
            torch.cat([s.rows("video", p) for s, p in parts]),
            torch.cat([s.rows(motion, p) for s, p in parts]),
            torch.from_numpy(np.concatenate([s.words[p] for s, p in parts])),
            frames,
        )


class Prefetcher:
    """Reads the next batches in a thread while the model computes.

    Args:
        source: where batches come from.
        plan: maps a step to (motion, max_objects).
        start: first step.
    """

    def __init__(self, source: BatchSource, plan: object, start: int) -> None:
        self._queue: Queue[tuple[int, Batch]] = Queue(maxsize=4)
        self._source, self._plan, self._step = source, plan, start
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            motion, objects = self._plan(self._step)  # type: ignore[operator]
            self._queue.put((self._step, self._source.draw(self._step, motion, objects)))
            self._step += 1
            if self._step % 200 == 0:
                self._source.refresh()

    def next(self) -> tuple[int, Batch]:
        """Return the next step number and its batch."""
        return self._queue.get()
