"""The clips of suite `photos` a tracker is calibrated on: path families and camera motions on real texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toraeval.run.calibration.conditions import CalibrationClip, check_request, takes
from toraeval.suites.photos.render import PhotoRenderer
from toraeval.suites.photos.suite import Photos, scene_of

SCENES = 15  # ten path families, and every camera motion once or twice


@dataclass(frozen=True)
class PhotoClip(CalibrationClip):
    """One clip of suite `photos`; `scene` is its place in the split, `family` a path family or a camera motion."""

    @property
    def name(self) -> str:
        """Name that tells everything about the clip."""
        case = scene_of(self.split, self.scene)[0]
        return f"photos-v{Photos.version}_{self.split}_{case}_{self.frames:03d}f_{self.damage}"

    def drawn(self, side: int) -> PhotoRenderer:
        """Return what draws the clip at `side` x `side` pixels."""
        return PhotoRenderer(scene_of(self.split, self.scene)[1], self.frames, side, side)

    def cover(self, renderer: PhotoRenderer, n: int, t: int) -> np.ndarray:
        """Return the share of each pixel near an object that it covers, were nothing before it."""
        return np.asarray(renderer.layer(n, t)[1][..., 3])


def photo_clips(
    frames: list[int], count: int, damages: list[str], split: str = "validation"
) -> list[CalibrationClip]:
    """Return the clips of suite `photos`, as `conditions.clips` does: `count` times all `SCENES` at every length."""
    check_request(frames, count, damages, split)
    found: list[CalibrationClip] = []
    for length, damage in takes(frames, damages):
        for scene in range(count * SCENES):
            made = scene_of(split, scene)[1]
            family = made.objects[0].family if made.objects else made.motion
            number = len(made.objects) or len(made.points_K2)
            found.append(PhotoClip(split, scene, family, number, length, damage))
    return found
