"""The clips of suite `photos` a tracker is calibrated on: path families and camera motions on real texture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from toraeval.run.calibration.conditions import DAMAGED_FRAMES, DAMAGES, Clip, check_request, speed_class
from toraeval.suites.photos.render import PhotoRenderer
from toraeval.suites.photos.suite import Photos, scene_of
from toraeval.suites.shared.drawing import CANVAS

SCENES = 15  # ten path families, and every camera motion once or twice


@dataclass(frozen=True)
class PhotoClip(Clip):
    """One clip of suite `photos`; `scene` is its place in the split, `family` a path family or a camera motion."""

    @property
    def name(self) -> str:
        """Name that tells everything about the clip."""
        case = scene_of(self.split, self.scene)[0]
        return f"photos-v{Photos.version}_{self.split}_{case}_{self.frames:03d}f_{self.damage}"

    @cached_property
    def renderer(self) -> PhotoRenderer:  # type: ignore[override]
        """Draws the clip at 512 x 512 and knows its exact tracks."""
        scene = scene_of(self.split, self.scene)[1]
        return PhotoRenderer(scene, self.frames, CANVAS, CANVAS)

    def facts(self) -> list[dict[str, Any]]:
        """Return what each object or point is grouped by, as for `Clip`."""
        tracks, visible = self.renderer.tracks_NT2, self.renderer.visible()
        things = self.renderer.scene.objects
        uncovered = self._least_uncovered() if things else np.ones(len(tracks))
        rows = []
        for n in range(len(tracks)):
            pace = float(np.linalg.norm(np.diff(tracks[n], axis=0), axis=-1).mean())
            hidden = "crossing" if not visible[n].all() else "partly" if uncovered[n] < 0.98 else "none"
            rows.append(
                {
                    "family": things[n].family if things else f"camera {self.renderer.scene.motion}",
                    "speed": speed_class(pace),
                    "occlusion": hidden,
                    "objects": self.objects,
                    "frames": self.frames,
                    "damage": self.damage,
                }
            )
        return rows

    def _least_uncovered(self) -> np.ndarray:
        """Return each object's smallest share of pixels that nothing covers, over the frames."""
        small = PhotoRenderer(self.renderer.scene, self.frames, CANVAS // 4, CANVAS // 4)
        whole = np.array(
            [
                [max(1, int((small.layer(n, t)[1][..., 3] >= 0.5).sum())) for t in range(self.frames)]
                for n in range(self.objects)
            ]
        )
        return np.asarray((small.masks().sum((2, 3)) / whole).min(1))


def photo_clips(frames: list[int], count: int, damages: list[str], split: str = "validation") -> list[Clip]:
    """Return the clips of suite `photos`: `count` times all `SCENES` at every length, damaged copies at 16 frames.

    Args:
        frames: lengths, >= 2.
        count: >= 1.
        damages: names of `DAMAGES`.
        split: `validation` or `test`.

    Raises:
        UserError: a value that is not allowed.
    """
    check_request(frames, count, damages, split)
    lengths = [(length, "none") for length in frames] + [(DAMAGED_FRAMES, name) for name in damages]
    assert set(damages) <= set(DAMAGES)
    found: list[Clip] = []
    for length, damage in lengths:
        for scene in range(count * SCENES):
            made = scene_of(split, scene)[1]
            family = made.objects[0].family if made.objects else made.motion
            number = len(made.objects) or len(made.points_K2)
            found.append(PhotoClip(split, scene, family, number, length, damage))
    return found
