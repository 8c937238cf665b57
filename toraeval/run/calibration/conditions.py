"""The clips a tracker is calibrated on: every path family at several lengths, clean and damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import sample_scene
from toraeval.suites.shared.drawing import CANVAS, SPLITS
from toraeval.suites.shared.paths import FAMILIES
from toraeval.types import ByteArray, UserError, Video
from toraeval.video import degradation

FPS = 8.0
FIRST_SCENE = 1000  # beyond the validation scenes that models are tuned on
DAMAGED_FRAMES = 16
SCENES = (*FAMILIES, "crossing", "crossing", "crossing")  # occlusion is rare elsewhere
SLOW, FAST = 3.0, 9.0  # bounds of the speed classes, pixels a frame at 512 x 512


def _fade(sigma: float, share: float) -> Callable[[CalibrationClip], ByteArray]:
    def apply(clip: CalibrationClip) -> ByteArray:
        r = clip.renderer
        backgrounds = np.stack([r.background(t) for t in range(r.frames)])
        objects = np.asarray(r.masks().any(0))
        return degradation.fade_objects(r.render(), backgrounds, objects, sigma=sigma, share=share, ramp=8)

    return apply


def _noise(sigma: float) -> Callable[[CalibrationClip], ByteArray]:
    return lambda clip: degradation.noise(clip.renderer.render(), sigma, np.random.default_rng(clip.scene))


DAMAGES: dict[str, Callable[[CalibrationClip], ByteArray]] = {
    "blur_2": lambda clip: degradation.blur(clip.renderer.render(), 2.0),
    "blur_4": lambda clip: degradation.blur(clip.renderer.render(), 4.0),
    "blur_8": lambda clip: degradation.blur(clip.renderer.render(), 8.0),
    "noise_10": _noise(10.0),
    "noise_25": _noise(25.0),
    "h264": lambda clip: degradation.h264(clip.renderer.render(), FPS),
    "fade_20": _fade(4.0, 0.2),
    "fade_40": _fade(8.0, 0.4),
    "fade_60": _fade(12.0, 0.6),
}
"""Damage by name: Gaussian sigma in pixels, noise sigma in 8-bit units, the previews' H.264, and objects
that from the second frame on are blurred (4, 8, 12 px) and let 20, 40, 60 % of the background through."""


@dataclass(frozen=True)
class CalibrationClip:
    """One calibration clip; it is rendered when it is needed.

    Attributes:
        split: of the procedural world.
        scene: number inside the split.
        family: path family of the first object.
        objects: number of objects.
        frames: length.
        damage: a name of `DAMAGES`, or `none`.
    """

    split: str
    scene: int
    family: str
    objects: int
    frames: int
    damage: str = "none"

    @property
    def name(self) -> str:
        """Name that tells everything about the clip."""
        return f"{self.split}_{self.scene}_{self.family}_{self.objects}obj_{self.frames:03d}f_{self.damage}"

    @cached_property
    def renderer(self) -> Any:
        """Draws the clip at 512 x 512 and knows its exact tracks."""
        return self.drawn(CANVAS)

    def drawn(self, side: int) -> Any:
        """Return what draws the clip at `side` x `side` pixels."""
        scene = sample_scene(self.split, self.scene, self.objects, self.family)
        return SceneRenderer(scene, self.frames, side, side)

    def cover(self, renderer: Any, n: int, t: int) -> np.ndarray:
        """Return the share of each pixel near an object that it covers, were nothing before it."""
        return np.asarray(renderer.coverage(n, t)[1])

    def video(self) -> Video:
        """Return the frames."""
        frames = self.renderer.render() if self.damage == "none" else DAMAGES[self.damage](self)
        return Video.from_thwc(frames, FPS)

    def facts(self) -> list[dict[str, Any]]:
        """Return what each object is grouped by: family, speed, occlusion, number of objects, length, damage."""
        tracks, visible = self.renderer.tracks_NT2, self.renderer.visible()
        things = self.renderer.scene.objects  # none where the camera alone moves, and points are followed
        uncovered = self._least_uncovered() if things else np.ones(len(tracks))
        rows = []
        for n in range(len(tracks)):
            pace = float(np.linalg.norm(np.diff(tracks[n], axis=0), axis=-1).mean())
            occlusion = "crossing" if not visible[n].all() else "partly" if uncovered[n] < 0.98 else "none"
            rows.append(
                {
                    "family": things[n].family if things else f"camera {self.renderer.scene.motion}",
                    "speed": speed_class(pace),
                    "occlusion": occlusion,
                    "objects": self.objects,
                    "frames": self.frames,
                    "damage": self.damage,
                }
            )
        return rows

    def _least_uncovered(self) -> np.ndarray:
        """Return each object's smallest share of pixels that nothing covers, over the frames."""
        small = self.drawn(CANVAS // 4)
        whole = np.array(
            [
                [max(1, int((self.cover(small, n, t) >= 0.5).sum())) for t in range(self.frames)]
                for n in range(self.objects)
            ]
        )
        return np.asarray((small.masks().sum((2, 3)) / whole).min(1))


def speed_class(pace: float) -> str:
    """Return the group of a mean speed in pixels a frame."""
    return "slow" if pace < SLOW else "fast" if pace > FAST else "medium"


def check_request(frames: list[int], count: int, damages: list[str], split: str) -> None:
    """Refuse lengths, numbers, damages and splits that no calibration has.

    Raises:
        UserError: a value that is not allowed.
    """
    if not frames or min(frames) < 2 or count < 1:
        raise UserError(f"calibrate: frames={frames} count={count}; allowed: frames >= 2, count >= 1")
    if split not in SPLITS or split == "train":
        raise UserError(f"calibrate: split={split}; allowed: validation, test")
    wrong = [name for name in damages if name not in DAMAGES]
    if wrong:
        raise UserError(f"calibrate: degrade={wrong[0]}; allowed: {', '.join(DAMAGES)}, none, all")


def clips(
    frames: list[int], count: int, damages: list[str], split: str = "validation"
) -> list[CalibrationClip]:
    """Return the clips: `count` times all `SCENES` at every length, and damaged copies at 16 frames.

    Args:
        frames: lengths, >= 2.
        count: >= 1.
        damages: names of `DAMAGES`.
        split: `validation` or `test`; trackers are trained on neither.

    Raises:
        UserError: a value that is not allowed.
    """
    check_request(frames, count, damages, split)
    every = range(count * len(SCENES))
    return [_clip(split, k, length, damage) for length, damage in takes(frames, damages) for k in every]


def takes(frames: list[int], damages: list[str]) -> list[tuple[int, str]]:
    """Return length and damage of every pass over the scenes."""
    return [(length, "none") for length in frames] + [(DAMAGED_FRAMES, name) for name in damages]


def _clip(split: str, number: int, frames: int, damage: str) -> CalibrationClip:
    family = SCENES[number % len(SCENES)]
    turn = number % len(SCENES) + number // len(SCENES)
    objects = 2 + turn % 2 if family == "crossing" else 1 + turn % 3
    return CalibrationClip(split, FIRST_SCENE + number, family, objects, frames, damage)
