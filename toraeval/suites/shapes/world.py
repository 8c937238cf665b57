"""Scenes of the `shapes` world: what is in a clip, drawn from a seed, and its caption.

Everything is laid out on a 512 x 512 canvas and scaled when rendered, so that a scene
is the same at every size and length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toraeval.suites.shapes.paths import FAMILIES, PATH_SAMPLES, sample_path
from toraeval.types import FloatArray

CANVAS = 512
SHAPES = ("circle", "square", "triangle", "diamond")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (245, 220, 60),
    "green": (40, 170, 70),
    "cyan": (50, 200, 220),
    "blue": (45, 80, 220),
    "purple": (130, 60, 190),
    "pink": (245, 130, 190),
    "white": (245, 245, 245),
    "black": (25, 25, 25),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "grey": (128, 128, 128),
    "grey-blue": (104, 118, 148),
    "grey-green": (108, 136, 112),
    "grey-purple": (130, 110, 146),
    "grey-brown": (142, 122, 104),
    "grey-teal": (98, 136, 138),
}
PANELS: dict[str, tuple[int, int, int]] = {
    "brown": (112, 78, 52),
    "navy": (38, 52, 92),
    "olive": (104, 108, 58),
    "sand": (196, 180, 148),
}
DRIFTS: dict[str, tuple[float, float]] = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
}
DRIFT_PX = 64.0  # how far a moving background travels over the clip, whatever its length
GRID = 6  # control points of the background per side
DISC = 0.42  # radius of the inner disc in units of the object's radius
SPLITS = {"train": 1, "validation": 2, "test": 3}
WORLD_SEED = 20260101


@dataclass(frozen=True)
class SceneObject:
    """One object: its look, its size (radius in canvas pixels) and its path (PATH_SAMPLES, 2)."""

    shape: str
    colour: str
    disc: str
    radius: float
    family: str
    path_P2: FloatArray


@dataclass(frozen=True)
class Panel:
    """A resting rectangle in front of all objects: colour and half sides, canvas pixels; version 2 of the world."""

    colour: str
    centre: tuple[float, float]
    half_sides: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """A clip before rendering; later objects are drawn over earlier ones, and the panel over all of them."""

    objects: tuple[SceneObject, ...]
    background: str
    grid_GG3: FloatArray
    drift: str | None
    caption: str
    panel: Panel | None = None

    def tracks(self, frames: int) -> FloatArray:
        """Return float64 (N, frames, 2) object centres in canvas pixels."""
        index = np.linspace(0.0, PATH_SAMPLES - 1, frames) if frames > 1 else np.zeros(1)
        grid = np.arange(PATH_SAMPLES)
        return np.stack(
            [np.stack([np.interp(index, grid, o.path_P2[:, k]) for k in (0, 1)], -1) for o in self.objects]
        )

    def background_offsets(self, frames: int) -> FloatArray:
        """Return float64 (frames, 2): how far the background has moved, canvas pixels."""
        if self.drift is None:
            return np.zeros((frames, 2))
        return np.linspace(0.0, 1.0, frames)[:, None] * np.array(DRIFTS[self.drift]) * DRIFT_PX


def describe(objects: tuple[SceneObject, ...], background: str, drift: str | None) -> str:
    """Return the caption: what moves and over what; a panel is given by the first frame alone."""
    article = {"orange": "an"}
    parts = [
        f"{article.get(o.colour, 'a')} {o.colour} {o.shape} with {article.get(o.disc, 'a')} {o.disc} disc"
        for o in objects
    ]
    verb = "moves" if len(objects) == 1 else "move"
    tail = f" drifting {drift}" if drift else ""
    return f"{' and '.join(parts)} {verb} over a {background} background{tail}"


def place(path_P2: FloatArray, radius: float, rng: np.random.Generator) -> FloatArray | None:
    """Shift a path so that the whole object stays on the canvas; None when it is too wide."""
    low = radius - path_P2.min(axis=0)
    high = CANVAS - 1 - radius - path_P2.max(axis=0)
    if (low > high).any():
        return None
    return np.asarray(path_P2 + rng.uniform(low, high))


def _sample_object(
    family: str, colours: list[str], others: list[SceneObject], rng: np.random.Generator
) -> SceneObject:
    while True:
        radius = float(rng.uniform(38.0, 58.0))
        length = float(rng.uniform(120.0, 205.0 if family != "stop_and_go" else 140.0))
        path = place(sample_path(family, length, float(rng.uniform(0, 2 * np.pi)), rng), radius, rng)
        if path is None:
            continue
        # start points keep clear of each other so that the first frame shows every object whole
        if all(np.linalg.norm(path[0] - o.path_P2[0]) > 1.25 * (radius + o.radius) for o in others):
            break
    colour = colours.pop(int(rng.integers(len(colours))))
    disc = str(rng.choice([c for c in COLOURS if c != colour]))
    return SceneObject(str(rng.choice(SHAPES)), colour, disc, radius, family, path)


def _sample_crossing(colours: list[str], rng: np.random.Generator) -> list[SceneObject]:
    """Two objects that meet half-way, so that the later one hides the earlier one."""
    while True:
        radii = rng.uniform(38.0, 58.0, 2)
        angle = rng.uniform(0, 2 * np.pi)
        angles = (angle, angle + rng.uniform(0.6, 1.4) * np.pi)
        lengths = rng.uniform(150.0, 210.0, 2)
        meeting = rng.uniform(160.0, CANVAS - 160.0, 2)
        paths = []
        for k in (0, 1):
            path = sample_path("crossing", float(lengths[k]), float(angles[k]), rng)
            paths.append(path - path[PATH_SAMPLES // 2] + meeting + rng.uniform(-8, 8, 2))
        inside = all((p.min() > r and p.max() < CANVAS - 1 - r) for p, r in zip(paths, radii, strict=True))
        if inside and np.linalg.norm(paths[0][0] - paths[1][0]) > 1.15 * radii.sum():
            break
    objects = []
    for k in (0, 1):
        colour = colours.pop(int(rng.integers(len(colours))))
        disc = str(rng.choice([c for c in COLOURS if c != colour]))
        objects.append(
            SceneObject(str(rng.choice(SHAPES)), colour, disc, float(radii[k]), "crossing", paths[k])
        )
    return objects


def sample_scene(
    split: str,
    index: int,
    num_objects: int | None = None,
    family: str | None = None,
    drift: bool | None = None,
) -> Scene:
    """Draw scene number `index` of a split; splits never share a seed.

    Args:
        split: `train`, `validation` or `test`.
        index: scene number, >= 0.
        num_objects: 1 to 3, or None to draw it (two thirds 1, the rest 2 or 3).
        family: path family of the first object, or None to draw it.
        drift: whether the background moves, or None to draw it (one in four does).
    """
    rng = np.random.default_rng([WORLD_SEED, SPLITS[split], index])
    drawn = int(rng.choice([1, 1, 1, 1, 2, 3]))
    count = drawn if num_objects is None else num_objects
    if family is None:
        family = str(rng.choice(FAMILIES if count > 1 else FAMILIES[:-1]))
    colours = list(COLOURS)
    objects = _sample_crossing(colours, rng) if family == "crossing" else []
    while len(objects) < count:
        own = family if not objects else str(rng.choice(FAMILIES[:-1]))
        objects.append(_sample_object(own, colours, objects, rng))
    background = str(rng.choice(list(BACKGROUNDS)))
    grid = np.array(BACKGROUNDS[background], float) + rng.normal(0.0, 15.0, (GRID, GRID, 3))
    moving = bool(rng.random() < 0.25) if drift is None else drift
    direction = str(rng.choice(list(DRIFTS))) if moving else None
    members = tuple(objects)
    return Scene(members, background, grid, direction, describe(members, background, direction))
