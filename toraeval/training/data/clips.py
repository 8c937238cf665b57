"""Training clips: what a source of them offers, and the procedural world as one.

Legend of the shape suffixes: T frames, H height, W width; flow frame t holds the motion from t - 1 to t in pixels,
at the pixels of t - 1, and frame 0 is zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from toraeval.allowed import COUNT, check_option
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import WORLD_SEED, sample_scene
from toraeval.training.data.buckets import VideoSize
from toraeval.types import ByteArray

SHAPES_FPS = 8.0
ANY_SIZE = VideoSize(2**31, 2**15, 2**15)
FIRST_SCENE = 10_000_000  # beyond the scenes that the embedded size trains on


@dataclass(frozen=True)
class TrainingClip:
    """One clip of the requested size."""

    video_TCHW: ByteArray  # uint8 RGB
    flow_THW2: np.ndarray | None  # float32 optical flow, or None where the source has none
    caption: str
    fps: float


class ClipSource(ABC):
    """Where clips come from."""

    captions: list[str]  # of each video
    sizes: list[VideoSize]  # longest clip and picture size of each video, for `buckets.BucketPlan`

    @abstractmethod
    def clip(
        self, index: int, frames: int, height: int, width: int, generator: torch.Generator
    ) -> TrainingClip:
        """Cut a clip of the wanted length and size in pixels out of a video.

        Where to cut it is drawn from the CPU generator; each possible start is equally likely.

        Raises:
            UserError: a video that is damaged, or shorter than the clip under `short=refuse`, or has no flow.
        """

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the clips; files count by name, size in bytes, length and caption."""


class ShapesClips(ClipSource):
    """Scenes of the world `shapes`, with exact flow, at any size and length; they fill a clip, so nothing is drawn.

    Raises:
        UserError: no scenes.
    """

    def __init__(self, count: int) -> None:
        check_option("train", "clips", count, COUNT)
        self.sizes = [ANY_SIZE] * count

    @cached_property
    def captions(self) -> list[str]:  # type: ignore[override]
        return [sample_scene("train", FIRST_SCENE + index).caption for index in range(len(self.sizes))]

    def clip(
        self, index: int, frames: int, height: int, width: int, generator: torch.Generator
    ) -> TrainingClip:
        scene = sample_scene("train", FIRST_SCENE + index)
        renderer = SceneRenderer(scene, frames, width, height)
        video = np.ascontiguousarray(renderer.render().transpose(0, 3, 1, 2))
        return TrainingClip(video, np.stack(list(renderer.dense_flow())), scene.caption, SHAPES_FPS)

    def fingerprint(self) -> dict[str, Any]:
        return {"data": "shapes", "world": WORLD_SEED, "first": FIRST_SCENE, "count": len(self.sizes)}
