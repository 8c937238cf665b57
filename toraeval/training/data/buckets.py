"""Batches of mixed sizes: every video goes into the largest bucket that it fits and that its draw admits.

The idea is Open-Sora v1.2.0's (`opensora/datasets/bucket.py`, Apache-2.0), reimplemented from its description: buckets
are tried from the largest picture and the longest clip downwards, a bucket takes a video with its own chance, and the
size within a resolution is the one of the nearest aspect ratio. Each epoch draws again. What a step trains on depends
only on (seed, step), not on the processes that share the work, and any step can be asked for directly.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from toraeval.allowed import COUNT, check_option
from toraeval.models.tora.sampling.sizes import Grid, size_table
from toraeval.store import keys
from toraeval.types import UserError, counted

MAX_CLIPS = 25  # per batch, as in arXiv 2407.21705


class VideoSize(NamedTuple):
    """Longest clip that a video gives, in frames, and its picture in pixels."""

    frames: int
    height: int
    width: int


@dataclass(frozen=True)
class Bucket:
    """One row of the table."""

    resolution: str  # a name of `sizes.size_table`, or `HxW` for one size
    frames: int  # length of the clips
    chance: float  # probability of taking a video that fits, above 0 to 1
    clips: int  # batch size, 1 to 25

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of all aspect ratios.

        Raises:
            UserError: an unknown resolution.
        """
        parts = self.resolution.split("x")
        if len(parts) == 2 and all(part.isdigit() and int(part) > 0 for part in parts):
            return [(int(parts[0]), int(parts[1]))]
        return list(size_table(self.resolution).values())

    @property
    def area(self) -> int:
        """Pixels of the smallest picture."""
        return min(height * width for height, width in self.sizes)


def read_buckets(table: Mapping[str, Mapping[int, Sequence[float]]]) -> list[Bucket]:
    """Read `{resolution: {frames: [chance, clips]}}`, largest picture and longest clip first.

    Raises:
        UserError: an empty table, or a row that is not of this form.
    """
    rows = []
    for resolution, lengths in table.items():
        for frames, values in ((int(key), value) for key, value in lengths.items()):
            chance, clips = values if len(values) == 2 else (0.0, 0)
            if not (frames >= 1 and 0 < chance <= 1 and clips in range(1, MAX_CLIPS + 1)):
                raise UserError(
                    f"buckets: {resolution}: {{{frames}: {list(values)}}}; allowed: [chance, clips], frames from 1, "
                    f"chance above 0 to 1, clips 1 to {MAX_CLIPS}"
                )
            rows.append(Bucket(str(resolution), frames, float(chance), int(clips)))
    if not rows:
        raise UserError("buckets: the table is empty; allowed e.g. {240p: {51: [0.5, 4], 17: [1.0, 8]}}")
    return sorted(rows, key=lambda row: (-row.area, -row.frames))


class Step(NamedTuple):
    """Size of the clips of a step, and the videos of each of its batches."""

    size: Grid
    batches: list[list[int]]


class BucketPlan:
    """Says which videos form a batch, and at which size.

    All batches of a step come from one bucket, so that processes wait little for each other. An epoch sees each video
    once at most (chances may leave it out); the last step of a bucket is filled up from the bucket's beginning.

    `batches_per_step` counts those of all processes; `enlarge` admits videos with fewer pixels than the bucket.

    Raises:
        UserError: no video fits any bucket.
    """

    def __init__(
        self,
        videos: Sequence[VideoSize],
        buckets: Sequence[Bucket],
        seed: int,
        batches_per_step: int = 1,
        enlarge: bool = False,
    ) -> None:
        check_option("buckets", "batches_per_step", batches_per_step, COUNT)
        self.buckets, self.seed, self.batches_per_step = list(buckets), seed, batches_per_step
        self.enlarge, self.videos = enlarge, np.array(videos, np.int64).reshape(-1, 3)
        frames, height, width = self.videos.T
        columns = [(frames >= b.frames) & (enlarge | (height * width >= b.area)) for b in self.buckets]
        self._fits = np.stack(columns, axis=1)
        if not self._fits.any():
            longest, largest = frames.max(initial=0), (height * width).max(initial=0)
            raise UserError(
                f"buckets: none of {counted(len(self.videos), 'video')} fits a bucket: the longest clip has "
                f"{counted(longest, 'frame')}, "
                f"the largest picture {largest} pixels, the smallest bucket {self.buckets[-1].frames} frames of "
                f"{self.buckets[-1].resolution}; add smaller buckets, or allow enlarge"
            )
        ratios = height / width
        self._nearest = np.stack(
            [np.abs([[h / w] for h, w in b.sizes] - ratios).argmin(axis=0) for b in self.buckets], axis=1
        )
        self._epochs, self._steps = 0, list[Step]()  # that were drawn
        self._lock = threading.Lock()  # batches are read ahead in threads

    def batch(self, step: int, number: int) -> tuple[Grid, list[int]]:
        """Return size and videos of batch `number` (from 0) of a step (from 0)."""
        with self._lock:
            while step >= len(self._steps):
                self._steps += self.epoch(self._epochs)
                self._epochs += 1
        return self._steps[step].size, self._steps[step].batches[number]

    def epoch(self, epoch: int) -> list[Step]:
        """Draw all steps of an epoch (from 0); it may be empty where chances are small."""
        rng = np.random.default_rng([self.seed, epoch])
        taken = self._fits & (rng.random(self._fits.shape) < [b.chance for b in self.buckets])
        videos = np.flatnonzero(taken.any(axis=1))
        rows = taken[videos].argmax(axis=1)
        groups = np.stack([rows, self._nearest[videos, rows]], axis=1)
        steps = []
        for row, place in np.unique(groups, axis=0):
            bucket = self.buckets[row]
            members = rng.permutation(videos[(groups == (row, place)).all(axis=1)])
            count = bucket.clips * self.batches_per_step
            filled = np.resize(members, -(-len(members) // count) * count)
            size = Grid(bucket.frames, *bucket.sizes[place])
            parts = filled.reshape(-1, self.batches_per_step, bucket.clips)
            steps += [Step(size, part.tolist()) for part in parts]
        return [steps[i] for i in rng.permutation(len(steps))]

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the batches."""
        return {
            "buckets": [asdict(b) for b in self.buckets],
            "videos": keys.digest(self.videos),
            "seed": self.seed,
            "batches_per_step": self.batches_per_step,
            "enlarge": self.enlarge,
        }
