"""Training clips: what a source of them offers, and the procedural world as one.

Legend of the shape suffixes: T frames, H height, W width; flow frame t holds the motion from t - 1 to t in pixels,
at the pixels of t - 1, and frame 0 is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

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
    """One clip of the requested size.

    Attributes:
        video_TCHW: uint8 RGB.
        flow_THW2: float32 optical flow, or None where the source has none.
        caption: text.
        fps: frames per second.
    """

    video_TCHW: ByteArray
    flow_THW2: np.ndarray | None
    caption: str
    fps: float


class ClipSource(Protocol):
    """Where clips come from."""

    def __len__(self) -> int:
        """Return the number of videos."""
        ...

    @property
    def captions(self) -> list[str]:
        """Caption of each video."""
        ...

    @property
    def sizes(self) -> list[VideoSize]:
        """Longest clip and picture size of each video."""
        ...

    def clip(
        self, index: int, frames: int, height: int, width: int, generator: torch.Generator
    ) -> TrainingClip:
        """Return a clip of a video; where to cut it is drawn from the CPU generator."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the clips."""
        ...


class ShapesClips:
    """Scenes of the world `shapes`, with exact flow, at any size and length.

    Args:
        count: number of scenes.

    Raises:
        UserError: no scenes.
    """

    def __init__(self, count: int) -> None:
        check_option("train", "clips", count, COUNT)
        self.count = count

    def __len__(self) -> int:
        return self.count

    @property
    def captions(self) -> list[str]:
        """Caption of each scene."""
        return [sample_scene("train", FIRST_SCENE + index).caption for index in range(self.count)]

    @property
    def sizes(self) -> list[VideoSize]:
        """What each scene gives; it can be rendered at any size and length."""
        return [ANY_SIZE] * self.count

    def clip(
        self, index: int, frames: int, height: int, width: int, generator: torch.Generator
    ) -> TrainingClip:
        """Render a scene; it fills the clip, so nothing is drawn from the generator."""
        scene = sample_scene("train", FIRST_SCENE + index)
        renderer = SceneRenderer(scene, frames, width, height)
        video = np.ascontiguousarray(renderer.render().transpose(0, 3, 1, 2))
        return TrainingClip(video, np.stack(list(renderer.dense_flow())), scene.caption, SHAPES_FPS)

    def fingerprint(self) -> dict[str, Any]:
        """Return the world's seed and the range of scenes."""
        return {"data": "shapes", "world": WORLD_SEED, "first": FIRST_SCENE, "count": self.count}
