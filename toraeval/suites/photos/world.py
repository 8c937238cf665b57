"""Scenes of the suite `photos`: a window that moves over a photograph, and cut-outs that move over it.

A point of the canvas shows the photograph at `c + s R(a) (point - middle)`, with centre c in its pixels, s of
its pixels per canvas pixel and angle a in radians, all of which change over the clip.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from toraeval.suites.photos.files import CUT_OUTS, GROUNDS, corners, photograph
from toraeval.suites.shared.drawing import (
    CANVAS,
    SPLITS,
    DrawnScene,
    apart_and_inside,
    at_frames,
    lone_path,
    rounded,
)
from toraeval.suites.shared.paths import FAMILIES, PATH_SAMPLES, sample_path
from toraeval.types import BoolArray, FloatArray

WORLD_SEED = 20261130
MIDDLE = (CANVAS - 1) / 2
MOTIONS = ("pan", "zoom", "rotation", "mixture")
RADII = (44.0, 66.0)  # half the longer side of a cut-out on the canvas
EDGE = 20.0  # canvas pixels that a point on the ground keeps from the border in frame 0
PAN_FAMILIES = ("line", "curve", "wave", "stop_and_go")
TRIES = 2000


@dataclass(frozen=True)
class PhotoObject:
    """A cut-out on its way.

    Attributes:
        name: of the photograph.
        radius: half its longer side in the middle of its growth, canvas pixels.
        family: of the path.
        path_P2: float64 (PATH_SAMPLES, 2) places of its anchor, canvas pixels.
        growth: factor on its size over the clip.
        turn: angle over the clip, radians.
        shadow: whether it casts a soft shadow.
    """

    name: str
    radius: float
    family: str
    path_P2: FloatArray
    growth: float
    turn: float
    shadow: bool


@dataclass(frozen=True)
class PhotoScene(DrawnScene):
    """A clip before rendering; later objects are drawn over earlier ones.

    Attributes:
        ground: name of the photograph.
        motion: `still`, or one of `MOTIONS`.
        camera_P4: float64 (PATH_SAMPLES, 4): centre x, y, scale and angle of the window.
        objects: cut-outs; empty where points on the ground are followed.
        points_K2: points of the photograph that are followed, pixels; empty where there are objects.
        caption: what is seen.
    """

    ground: str
    motion: str
    camera_P4: FloatArray
    objects: tuple[PhotoObject, ...]
    points_K2: FloatArray
    caption: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(o.name for o in self.objects) or tuple(
            f"point {k + 1}" for k in range(len(self.points_K2))
        )

    def content(self) -> bytes:
        head: list[object] = [self.caption, self.ground, self.motion]
        head += [
            [o.name, o.family, o.shadow, *(round(value, 6) for value in (o.radius, o.growth, o.turn))]
            for o in self.objects
        ]
        return json.dumps(head).encode() + rounded(self.tracks(129)) + rounded(self.camera(129))

    def camera(self, frames: int) -> FloatArray:
        """Return float64 (frames, 4): the window of every frame."""
        return at_frames(self.camera_P4, frames)

    def tracks(self, frames: int) -> FloatArray:
        if self.objects:
            return super().tracks(frames)
        return np.stack([seen_at(point, self.camera(frames)) for point in self.points_K2])


def seen_at(point_2: FloatArray, camera_T4: FloatArray) -> FloatArray:
    """Return float64 (T, 2): where windows show a point of the photograph, canvas pixels."""
    away = (point_2 - camera_T4[:, :2]) / camera_T4[:, 2:3]
    cos, sin = np.cos(camera_T4[:, 3]), np.sin(camera_T4[:, 3])
    return np.stack([cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0]], -1) + MIDDLE


def _fits(camera_P4: FloatArray, size: tuple[int, int]) -> bool:
    """Return whether every window lies inside the photograph, with two pixels for the filters."""
    half = (
        camera_P4[:, 2] * (CANVAS / 2) * (np.abs(np.cos(camera_P4[:, 3])) + np.abs(np.sin(camera_P4[:, 3])))
        + 2
    )
    low, high = camera_P4[:, :2] - half[:, None], camera_P4[:, :2] + half[:, None]
    return bool((low >= 0).all() and (high <= np.array(size) - 1).all())


def sample_camera(motion: str, size: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Draw a window's way over a photograph of `(width, height)` pixels.

    Args:
        motion: `still`, `pan`, `zoom`, `rotation` or `mixture`.
        size: of the photograph.
        rng: source of everything.
    """
    u = np.linspace(0.0, 1.0, PATH_SAMPLES)
    for attempt in range(TRIES):
        # what does not fit is tried with a smaller window
        scale = min(size) / CANVAS * float(rng.uniform(0.55, 0.8)) * 0.999**attempt
        camera = np.zeros((PATH_SAMPLES, 4))
        camera[:, 2] = scale
        if motion in ("pan", "mixture"):
            length = float(rng.uniform(90.0, 190.0)) * scale
            family = str(rng.choice(PAN_FAMILIES))
            camera[:, :2] += sample_path(family, length, float(rng.uniform(0, 2 * np.pi)), rng)
        if motion in ("zoom", "mixture"):
            ratio = float(rng.uniform(1.25, 1.6)) ** float(rng.choice([-1.0, 1.0]))
            camera[:, 2] = scale * ratio ** (u - 0.5)
        if motion in ("rotation", "mixture"):
            angle = float(rng.uniform(0.25, 0.6)) * float(rng.choice([-1.0, 1.0]))
            camera[:, 3] = angle * (u - 0.5)
        camera[:, :2] += rng.uniform(0.3, 0.7, 2) * np.array(size)
        if _fits(camera, size):
            return camera
    raise AssertionError(f"no window of motion {motion} fits into {size}")


def _size(name: str) -> tuple[int, int]:
    height, width = photograph(name).shape[:2]
    return width, height


def _object(name: str, family: str, path: FloatArray, radius: float, rng: np.random.Generator) -> PhotoObject:
    changes = bool(rng.random() < 0.35)
    growth = float(rng.uniform(0.85, 1.2)) if changes else 1.0
    turn = float(rng.uniform(-0.3, 0.3)) if changes else 0.0
    return PhotoObject(name, radius, family, path, growth, turn, bool(rng.random() < 0.6))


def _lone(name: str, family: str, others: list[PhotoObject], rng: np.random.Generator) -> PhotoObject:
    lengths = (120.0, 205.0 if family != "stop_and_go" else 140.0)
    while True:
        found = lone_path(family, RADII, lengths, others, 1.3, rng)
        if found is not None:
            return _object(name, family, found[1], found[0], rng)


def _crossing(names: list[str], rng: np.random.Generator) -> list[PhotoObject]:
    """Two objects that meet half-way, so that the later one hides the earlier one."""
    while True:
        radii = rng.uniform(*RADII, 2)
        angle = float(rng.uniform(0, 2 * np.pi))
        angles = (angle, angle + float(rng.uniform(0.7, 1.3)) * np.pi)
        meeting = rng.uniform(170.0, CANVAS - 170.0, 2)
        paths = []
        for k in (0, 1):
            path = sample_path("crossing", float(rng.uniform(180.0, 240.0)), angles[k], rng)
            paths.append(path - path[PATH_SAMPLES // 2] + meeting + rng.uniform(-8, 8, 2))
        if apart_and_inside(paths, radii, 1.25):
            return [_object(names[k], "crossing", paths[k], float(radii[k]), rng) for k in (0, 1)]


def _points(ground: str, camera_P4: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Draw corners that the first window shows, apart from each other and as long in the picture as can be."""
    known = corners(ground)
    start = seen_at_first(known, camera_P4)
    inside: BoolArray = np.all((start > EDGE) & (start < CANVAS - 1 - EDGE), axis=1)
    seen = np.stack([seen_at(point, camera_P4) for point in known])
    stays = np.all((seen > 0) & (seen < CANVAS - 1), axis=-1).mean(1)
    chosen: list[int] = []
    # rounded, so that the last bits of a maths library choose no other point
    for k in sorted(rng.permutation(len(known)), key=lambda k: -round(float(stays[k]), 1)):
        if inside[k] and all(np.linalg.norm(start[k] - start[j]) > 80 for j in chosen):
            chosen.append(int(k))
        if len(chosen) == count:
            break
    return known[chosen]


def seen_at_first(points_K2: FloatArray, camera_P4: FloatArray) -> FloatArray:
    """Return float64 (K, 2): where the first window shows points of the photograph."""
    return np.stack([seen_at(point, camera_P4[:1])[0] for point in points_K2])


def sample_scene(split: str, index: int, kind: str, count: int, what: str, moves: bool = False) -> PhotoScene:
    """Draw scene number `index` of a split; splits share neither photograph nor seed.

    Args:
        split: `train`, `validation` or `test`.
        index: scene number, >= 0.
        kind: `camera` (points on the ground) or `object`.
        count: followed points or objects, 1 to 3.
        what: motion of the camera, or path family of the first object.
        moves: whether the ground moves below objects.
    """
    rng = np.random.default_rng([WORLD_SEED, SPLITS[split], index])
    grounds = list(GROUNDS[split])
    ground = grounds[index % len(grounds)]
    motion = what if kind == "camera" else "pan" if moves else "still"
    camera = sample_camera(motion, _size(ground), rng)
    words = GROUNDS[split][ground]
    if kind == "camera":
        points = _points(ground, camera, count, rng)
        return PhotoScene(ground, motion, camera, (), points, _camera_caption(motion, camera, words))
    known = [name for name in CUT_OUTS[split] if name != ground]
    names = [known[k % len(known)] for k in rng.permutation(max(count, len(known)))][:count]
    objects = _crossing(names, rng) if what == "crossing" else []
    while len(objects) < count:
        family = what if not objects else str(rng.choice(FAMILIES[:-1]))
        objects.append(_lone(names[len(objects)], family, objects, rng))
    things = " and ".join(CUT_OUTS[split][o.name].words for o in objects)
    tail = ", while the camera pans" if moves else ""
    verb = "moves" if count == 1 else "move"
    return PhotoScene(
        ground, motion, camera, tuple(objects), np.zeros((0, 2)), f"{things} {verb} over {words}{tail}"
    )


def _camera_caption(motion: str, camera_P4: FloatArray, words: str) -> str:
    closer = camera_P4[-1, 2] < camera_P4[0, 2]
    return {
        "pan": f"the camera pans over {words}",
        "zoom": f"the camera zooms {'into' if closer else 'out of'} {words}",
        "rotation": f"the camera turns above {words}",
        "mixture": f"the camera pans, turns and zooms {'into' if closer else 'out of'} {words}",
    }[motion]
