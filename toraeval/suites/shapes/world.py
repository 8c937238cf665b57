"""Scenes of the `shapes` world: what is in a clip, drawn from a seed, and its caption."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from toraeval.suites.shared.drawing import CANVAS, SPLITS, DrawnScene, apart_and_inside, lone_path, rounded
from toraeval.suites.shared.paths import FAMILIES, PATH_SAMPLES, sample_path
from toraeval.types import FloatArray

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
RADII = (38.0, 58.0)  # of objects, canvas pixels
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
class Scene(DrawnScene):
    """A clip before rendering; later objects are drawn over earlier ones, and the panel over all of them."""

    objects: tuple[SceneObject, ...]
    background: str
    grid_GG3: FloatArray
    drift: str | None
    caption: str
    panel: Panel | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{o.colour} {o.shape}" for o in self.objects)

    def content(self) -> bytes:
        head: list[object] = [self.caption, self.background, self.drift]
        head += [[o.shape, o.colour, o.disc, round(o.radius, 6), o.family] for o in self.objects]
        if self.panel is not None:
            sides = [round(v, 6) for v in (*self.panel.centre, *self.panel.half_sides)]
            head.append([self.panel.colour, *sides])
        return json.dumps(head).encode() + rounded(self.tracks(129)) + rounded(self.grid_GG3)


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


def _look(colours: list[str], rng: np.random.Generator) -> tuple[str, str, str]:
    colour = colours.pop(int(rng.integers(len(colours))))
    disc = str(rng.choice([c for c in COLOURS if c != colour]))
    return str(rng.choice(SHAPES)), colour, disc


def _sample_crossing(colours: list[str], rng: np.random.Generator) -> list[SceneObject]:
    """Two objects that meet half-way, so that the later one hides the earlier one."""
    while True:
        radii = rng.uniform(*RADII, 2)
        angle = rng.uniform(0, 2 * np.pi)
        angles = (angle, angle + rng.uniform(0.6, 1.4) * np.pi)
        lengths = rng.uniform(150.0, 210.0, 2)
        meeting = rng.uniform(160.0, CANVAS - 160.0, 2)
        paths = []
        for k in (0, 1):
            path = sample_path("crossing", float(lengths[k]), float(angles[k]), rng)
            paths.append(path - path[PATH_SAMPLES // 2] + meeting + rng.uniform(-8, 8, 2))
        if apart_and_inside(paths, radii, 1.15):
            return [SceneObject(*_look(colours, rng), float(radii[k]), "crossing", paths[k]) for k in (0, 1)]


def finished(
    objects: list[SceneObject], drift: bool | None, rng: np.random.Generator, panel: Panel | None = None
) -> Scene:
    """Draw a background, moving or not, for objects; with `drift` None one in four moves."""
    background = str(rng.choice(list(BACKGROUNDS)))
    grid = np.array(BACKGROUNDS[background], float) + rng.normal(0.0, 15.0, (GRID, GRID, 3))
    moving = bool(rng.random() < 0.25) if drift is None else drift
    direction = str(rng.choice(list(DRIFTS))) if moving else None
    members = tuple(objects)
    return Scene(members, background, grid, direction, describe(members, background, direction), panel)


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
        lengths = (120.0, 205.0 if own != "stop_and_go" else 140.0)
        while (found := lone_path(own, RADII, lengths, objects, 1.25, rng)) is None:
            pass
        radius, path = found
        objects.append(SceneObject(*_look(colours, rng), radius, own, path))
    return finished(objects, drift, rng)
