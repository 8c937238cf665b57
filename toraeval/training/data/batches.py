"""Batches of stored latents: mixed lengths of equal cost, drawn from shards that may still be growing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.caption_encoder import tokenise
from toraeval.models.shared.nano.linear_patches import STRIDE_T
from toraeval.models.tora.checkpoints.nano import TRAIN_COMMAND
from toraeval.models.tora.network.entity import entity_maps
from toraeval.types import FloatArray, UserError

TOKEN = 2  # latent cells per side of the squares that windows are counted in


@dataclass(frozen=True)
class StepPlan:
    """What a step trains on.

    Attributes:
        motion: `dense` or `sparse` or `none`: no path is given.
        lengths: frame count -> share of the steps.
        min_objects, max_objects: clips with fewer or more objects are left out.
        window: token rows and columns to keep around the path of each clip; None keeps the whole picture.
    """

    motion: str = "sparse"
    lengths: Mapping[int, float] = field(default_factory=lambda: {17: 1.0})
    max_objects: int = 3
    window: int | None = None
    min_objects: int = 1

    def admits(self, objects: np.ndarray) -> np.ndarray:
        """Return which of these object counts the step trains on."""
        return np.asarray((objects >= self.min_objects) & (objects <= self.max_objects))


@dataclass(frozen=True)
class Batch:
    """Latents (B, t, h, w, C) float16 of clip and motion (or None), word numbers (B, L), frame count.

    `origins` (B, 2) is the first token of each clip's window when only windows are trained on, else None;
    `whole` is the number of token rows and columns of the whole picture.
    """

    video: Tensor
    motion: Tensor | None
    words: Tensor
    frames: int
    origins: Tensor | None
    whole: tuple[int, int]

    @property
    def clips(self) -> int:
        """Number of clips B."""
        return int(self.video.shape[0])

    def first(self, clips: int) -> Batch:
        """Return the batch without what comes after so many clips, >= 1."""
        motion = None if self.motion is None else self.motion[:clips]
        origins = None if self.origins is None else self.origins[:clips]
        return replace(
            self, video=self.video[:clips], motion=motion, words=self.words[:clips], origins=origins
        )


class Shard:
    """One mapped shard with its captions."""

    def __init__(self, stem: Path) -> None:
        self.stem = stem
        captions = stem.with_suffix(".txt").read_text().splitlines()
        self.words = np.array([tokenise(c) for c in captions])
        self.objects = np.array([c.count(" disc") for c in captions])
        self._maps: dict[str, np.ndarray] = {}

    @property
    def length(self) -> int:
        """Latent frames of a clip."""
        return int(self._map("video").shape[1])

    @property
    def side(self) -> int:
        """Latent rows of a clip."""
        return int(self._map("video").shape[2])

    def rows(self, name: str, picks: np.ndarray) -> Tensor:
        """Return the picked clips of `video`, `sparse` or `dense`."""
        mapped = self._map(name)
        return torch.from_numpy(np.stack([mapped[i] for i in picks]))

    def tracks(self, pick: int) -> FloatArray:
        """Return the paths (N, T, 2) of the objects of a clip, pixels.

        Raises:
            UserError: they are not stored beside the shard.
        """
        if not self.stem.with_name(f"{self.stem.name}_tracks.npy").exists():
            raise UserError(
                f"training data: {self.stem} has no tracks; write them with: python -m toraeval train model=wan_move"
            )
        paths = self._map("tracks")[pick]
        return paths[np.isfinite(paths).all((1, 2))].astype(np.float64)

    def _map(self, name: str) -> np.ndarray:
        if name not in self._maps:
            self._maps[name] = np.load(self.stem.with_name(f"{self.stem.name}_{name}.npy"), mmap_mode="r")
        return self._maps[name]


class MotionReader(Protocol):
    """Reads what a network is told of the paths."""

    def __call__(self, shard: Shard, picks: np.ndarray, kind: str) -> Tensor:
        """Return the motion (M, t, h, w, C) of the picked clips; `kind` is `dense` or `sparse`."""
        ...


@dataclass(frozen=True)
class StoredMotion:
    """Motion as the shards hold it.

    Args:
        compression: see `toraeval.models.tora.conditions.compression`.
    """

    compression: str = "vae"

    def __call__(self, shard: Shard, picks: np.ndarray, kind: str) -> Tensor:
        """See `MotionReader`."""
        return shard.rows(kind if self.compression == "vae" else f"{kind}_{self.compression}", picks)


@dataclass(frozen=True)
class BoundMotion:
    """Stored motion, and beside it the looks of the objects along their paths.

    Args:
        flow: reads the motion itself.
    """

    flow: StoredMotion

    def __call__(self, shard: Shard, picks: np.ndarray, kind: str) -> Tensor:
        """See `MotionReader`."""
        firsts = shard.rows("video", picks)[:, 0]
        looks = [
            entity_maps(f, shard.tracks(int(pick))).half() for f, pick in zip(firsts, picks, strict=True)
        ]
        return torch.cat((self.flow(shard, picks, kind), torch.stack(looks)), -1)


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
        clips: use only the first shards, up to so many clips of each length.
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
        self.motion, self.limit, self.open_shard = motion or StoredMotion(), clips, open_shard
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

    def draw(self, step: int, plan: StepPlan) -> Batch:
        """Draw the batch of a step (>= 0) as its plan says.

        Raises:
            UserError: no clip of the drawn length has a fitting number of objects.
        """
        rng = np.random.default_rng([self.seed, step])
        shares = np.array(list(plan.lengths.values()))
        frames = int(rng.choice(list(plan.lengths), p=shares / shares.sum()))
        if not any(plan.admits(s.objects).any() for s in self.shards[frames]):
            raise UserError(
                f"training data: no clip of {frames} frames with {plan.min_objects} to {plan.max_objects} objects in "
                f"{self.folder}; write more with: {TRAIN_COMMAND} clips=N"
            )
        rng = np.random.default_rng([self.seed, step, 1 + self.worker])
        window = plan.window
        side = window or self.shards[frames][0].side // TOKEN
        length = self.shards[frames][0].length
        shown = 1 + (length - 1) * STRIDE_T
        size = max(1, self.tokens // length // side**2)
        parts: list[tuple[Shard, np.ndarray]] = []
        needed = size
        while needed:
            shard = self.shards[frames][int(rng.integers(len(self.shards[frames])))]
            allowed = np.flatnonzero(plan.admits(shard.objects))
            picks = rng.permutation(allowed)[: min(needed, 4)]
            if len(picks):
                parts.append((shard, np.sort(picks)))
                needed -= len(picks)
        video = torch.cat([s.rows("video", p) for s, p in parts])
        marks = torch.cat([s.rows("sparse", p) for s, p in parts])
        drawn = None
        if plan.motion != "none":
            drawn = torch.cat([self.motion(s, p, plan.motion) for s, p in parts])
        words = torch.from_numpy(np.concatenate([s.words[p] for s, p in parts]))
        whole = (video.shape[2] // TOKEN, video.shape[3] // TOKEN)
        if window is None:
            return Batch(video, drawn, words, shown, None, whole)
        origins = window_origins(marks, window)
        drawn = None if drawn is None else cut(drawn, origins, window)
        return Batch(cut(video, origins, window), drawn, words, shown, origins, whole)


def window_origins(marks: Tensor, window: int) -> Tensor:
    """Return int (B, 2): the first token of the window that best surrounds the marks of each motion picture.

    Args:
        marks: sparse motion latents (B, t, h, w, C); latent frame 0 is white.
        window: token rows and columns of the window.
    """
    moving = (marks - marks[:, :1]).abs().amax(dim=(1, 4)) > 0.05
    origins = torch.zeros(len(marks), 2, dtype=torch.long)
    for axis, other in ((0, 2), (1, 1)):
        count = moving.shape[1 + axis] // TOKEN
        for b, line in enumerate(moving.any(dim=other)):
            hits = line.nonzero().flatten()
            if len(hits):
                centre = float(hits[0] + hits[-1] + 1) / 2 / TOKEN
                origins[b, axis] = min(max(round(centre - window / 2), 0), count - window)
    return origins


def cut(latents: Tensor, origins: Tensor, window: int) -> Tensor:
    """Cut a token window out of each clip (B, t, h, w, C)."""
    size = window * TOKEN
    places = (origins * TOKEN).tolist()
    return torch.stack([z[:, r : r + size, c : c + size] for z, (r, c) in zip(latents, places, strict=True)])


class Prefetcher:
    """Reads the next batches in a thread while the model computes.

    Args:
        source: where batches come from.
        plan: says what a step trains on, from its number and the clips drawn here before it.
        start: first step.
    """

    def __init__(self, source: BatchSource, plan: Callable[[int, int], StepPlan], start: int) -> None:
        self._queue: Queue[tuple[int, Batch] | Exception] = Queue(maxsize=4)
        self._drawn = 0
        self._source, self._plan, self._step = source, plan, start
        self._open = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            while self._open:
                batch = self._source.draw(self._step, self._plan(self._step, self._drawn))
                self._queue.put((self._step, batch))
                self._step, self._drawn = self._step + 1, self._drawn + batch.clips
                if self._step % 200 == 0:
                    self._source.refresh()
        except Exception as error:  # handed to the training loop, which would wait for ever otherwise
            self._queue.put(error)

    def next(self) -> tuple[int, Batch]:
        """Return the next step number and its batch; raises whatever reading it raised."""
        item = self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Stop reading ahead and drop what was read."""
        self._open = False
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
