"""Stored clips that lie on the device as a whole, for networks that are faster than a disk or a processor can feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import STRIDE_T
from toraeval.training.data.batch import Batch
from toraeval.training.data.batches import (
    TOKEN,
    BatchSource,
    MotionReader,
    Shard,
    StepPlan,
    marked_centres,
    origins_around,
    stored_batch,
)

READERS = 4  # threads that read shards; most of the time they wait for the disk


@dataclass(frozen=True)
class HeldClips:
    """All clips of one length; every tensor but the counts lies on the device.

    Attributes:
        video: float16 (M, t, h, w, C).
        words: numbers of words (M, L).
        objects: of each clip, on the CPU.
        centres: middle of the marks of each clip in tokens (M, 2), see `marked_centres`.
    """

    video: Tensor
    words: Tensor
    objects: np.ndarray
    centres: Tensor


class DeviceBatchSource(BatchSource):
    """Draws as `BatchSource` does, from clips that are read once and kept on the device.

    The motion input of a stage is computed for all clips when the stage begins, and replaces that of the one before.

    Args:
        device: where the clips lie.
        given: arguments of `BatchSource`.
    """

    def __init__(self, device: str, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.device = torch.device(device)
        self._held: dict[int, HeldClips] = {}
        self._motion: dict[int, Tensor] = {}
        self._kind = ""

    def refresh(self) -> int:
        """Find the shards; those that appear after the first batch are not taken in."""
        return 0 if getattr(self, "_held", None) else super().refresh()

    def draw(self, step: int, plan: StepPlan) -> Batch:
        """Draw the batch of a step (>= 0) as its plan says.

        Raises:
            UserError: no clip of the drawn length has a fitting number of objects.
        """
        frames = self.drawn_length(step, plan)
        self._hold(plan.motion)
        held, window = self._held[frames], plan.window
        length, whole = held.video.shape[1], held.video.shape[2:4]
        size = max(1, self.tokens // length // (window or whole[0] // TOKEN) ** 2)
        rng = np.random.default_rng([self.seed, step, 1 + self.worker])
        allowed = np.flatnonzero(plan.admits(held.objects))
        picks = torch.from_numpy(np.sort(rng.choice(allowed, size, replace=size > len(allowed))))
        picks = picks.to(self.device)
        drawn, origins = self._motion.get(frames), None
        if window is None:
            video, drawn = held.video[picks], None if drawn is None else drawn[picks]
        else:
            origins = origins_around(held.centres[picks], window, whole[0] // TOKEN)
            video = _cut(held.video, picks, origins, window)
            drawn = None if drawn is None else _cut(drawn, picks, origins, window)
        return stored_batch(video, drawn, held.words[picks], 1 + (length - 1) * STRIDE_T, origins, whole)

    def _hold(self, kind: str) -> None:
        if kind == self._kind:
            return
        for frames, shards in self.shards.items():
            if frames not in self._held:
                video = self._all(shards, _video)
                centres = self._all(shards, _centres)
                words = torch.from_numpy(np.concatenate([shard.words for shard in shards])).to(self.device)
                objects = np.concatenate([shard.objects for shard in shards])
                self._held[frames] = HeldClips(video, words, objects, centres)
        self._motion.clear()  # makes room for the next stage's
        if kind != "none":
            for frames, shards in self.shards.items():
                self._motion[frames] = self._all(shards, partial(_motion, self.motion, kind))
        self._kind = kind

    def _all(self, shards: Sequence[Shard], read: Callable[[Shard, np.ndarray], Tensor]) -> Tensor:
        """Return what is read of all clips, one shard after the other on the device."""

        def one(shard: Shard) -> Tensor:
            rows = read(shard, np.arange(len(shard.objects)))
            return rows.half() if rows.ndim > 2 else rows

        out: Tensor | None = None
        total, begin = sum(len(shard.objects) for shard in shards), 0
        with ThreadPoolExecutor(READERS) as pool:
            for rows in pool.map(one, shards):
                if out is None:
                    out = torch.empty(total, *rows.shape[1:], dtype=rows.dtype, device=self.device)
                out[begin : begin + len(rows)] = rows.to(self.device)
                begin += len(rows)
        assert out is not None
        return out


def _video(shard: Shard, picks: np.ndarray) -> Tensor:
    return shard.rows("video", picks)


def _centres(shard: Shard, picks: np.ndarray) -> Tensor:
    return marked_centres(shard.rows("sparse", picks))


def _motion(reader: MotionReader, kind: str, shard: Shard, picks: np.ndarray) -> Tensor:
    return reader(shard, picks, kind)


def _cut(clips: Tensor, picks: Tensor, origins: Tensor, window: int) -> Tensor:
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


def batch_source(device: str, folder: Path, *given: Any, **named: Any) -> BatchSource:
    """Return what draws batches for a device: from the disk for a CPU, else from the device itself."""
    if device == "cpu":
        return BatchSource(folder, *given, **named)
    return DeviceBatchSource(device, folder, *given, **named)
