"""Stored clips that lie on the device as a whole, for networks that are faster than a disk or a processor can feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toraeval.training.data.batches import BatchSource, HeldClips, StepPlan, marked_centres
from toraeval.training.data.shards import Shard

READERS = 4  # threads that read shards; most of the time they wait for the disk


class DeviceBatchSource(BatchSource):
    """Draws as `BatchSource` does, from clips that are read once and kept on the device.

    The motion input of a stage is computed for all clips when the stage begins, and replaces that of the one before.
    """

    def __init__(self, device: str, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.device = torch.device(device)
        self._held: dict[int, HeldClips] = {}
        self._objects: dict[int, np.ndarray] = {}
        self._kind = ""

    def refresh(self) -> int:
        """Find the shards; those that appear after the first batch are not taken in."""
        return 0 if getattr(self, "_held", None) else super().refresh()

    def pick(
        self, frames: int, size: int, plan: StepPlan, rng: np.random.Generator
    ) -> tuple[HeldClips, Tensor]:
        self._hold(plan.motion)
        allowed = np.flatnonzero(plan.admits(self._objects[frames]))
        picks = torch.from_numpy(np.sort(rng.choice(allowed, size, replace=size > len(allowed))))
        return self._held[frames], picks.to(self.device)

    def _hold(self, kind: str) -> None:
        if kind == self._kind:
            return
        for frames, shards in self.shards.items():
            if frames not in self._held:
                video = self._all(shards, lambda shard, all_: shard.rows("video", all_))
                centres = self._all(shards, lambda shard, all_: marked_centres(shard.rows("sparse", all_)))
                words = torch.from_numpy(np.concatenate([shard.words for shard in shards])).to(self.device)
                self._objects[frames] = np.concatenate([shard.objects for shard in shards])
                self._held[frames] = HeldClips(video, words, centres)
            self._held[frames] = replace(self._held[frames], motion=None)  # makes room for the next stage's
        if kind != "none":
            for frames, shards in self.shards.items():
                motion = self._all(shards, lambda shard, all_: self.motion(shard, all_, kind))
                self._held[frames] = replace(self._held[frames], motion=motion)
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


def batch_source(device: str, folder: Path, *given: Any, **named: Any) -> BatchSource:
    """Return what draws batches for a device: from the disk for a CPU, else from the device itself."""
    if device == "cpu":
        return BatchSource(folder, *given, **named)
    return DeviceBatchSource(device, folder, *given, **named)
