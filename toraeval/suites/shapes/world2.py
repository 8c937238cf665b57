"""Version 2 of the `shapes` world: bounded speed, and panels behind which an object disappears.

Real clips ask a model to remember what it does not see. A panel hides an object where a window of 16 new frames ends
in clips of 64 and of 128 frames, so a model that makes windows one after another has to know what comes out again.
The drawing of objects, paths and backgrounds is that of version 1; seeds are others.
"""

from __future__ import annotations

import numpy as np

from toraeval.suites.shapes.world import COLOURS, PANELS, SHAPES, Panel, Scene, SceneObject, finished
from toraeval.suites.shared.drawing import CANVAS, SPLITS, apart_and_inside, at_frames, lone_path, place
from toraeval.suites.shared.paths import FAMILIES, PATH_SAMPLES, sample_path
from toraeval.types import FloatArray

SEED = 20261129
SPEED = 14.0  # the most pixels that an object moves from one frame to the next in a clip of 16
STEPS = 15  # between those 16 frames
SEAM = 65 / 128  # share of the path at frame 32 of 64 (32/63) and at frame 64 of 128 (64/127), within 0.5 px
REACH = 1.2  # half the width of any shape in units of its radius, at least
GAP = 3.0  # pixels by which a panel is wider than what it hides, on each side
PANEL_SHARE = 0.35  # of the scenes with one or two objects
PANEL_FAMILIES = ("line", "curve", "wave", "zigzag")
RADII = (32.0, 52.0)
HIDDEN_RADII = (24.0, 32.0)  # small enough to come out whole at the end of a path of 205 px

# scene index in the test split, number of objects, family of the first object, background drifts, panel
TEST_SET: tuple[tuple[int, int, str, bool, bool], ...] = tuple(
    (index, *entry)
    for index, entry in enumerate(
        [(1, family, False, False) for family in FAMILIES[:-1]]
        + [(1, family, True, False) for family in ("line", "curve", "wave", "circle", "stop_and_go")]
        + [(1, family, False, True) for family in PANEL_FAMILIES * 2]
        + [(1, family, True, True) for family in ("line", "curve")]
        + [(2, "crossing", False, False)] * 3
        + [(2, "crossing", True, False)]
        + [(2, family, False, False) for family in ("circle", "shake")]
        + [(2, "line", False, True), (2, "wave", True, True)]
        + [(3, "crossing", False, False)] * 2
        + [(3, "curve", False, False), (3, "zigzag", True, False)]
    )
)


def fastest_step(path_P2: FloatArray) -> float:
    """Return the longest of the steps between 16 frames of a path, pixels."""
    points = at_frames(path_P2, STEPS + 1)
    return float(np.linalg.norm(np.diff(points, axis=0), axis=-1).max())


def _path(family: str, length: float, angle: float, rng: np.random.Generator) -> FloatArray:
    """Draw a path that is shortened where it would be too fast."""
    path = sample_path(family, length, angle, rng)
    return np.asarray(path * min(1.0, SPEED / fastest_step(path)))


def _look(colours: list[str], rng: np.random.Generator) -> tuple[str, str, str]:
    colour = colours.pop(int(rng.integers(len(colours))))
    return str(rng.choice(SHAPES)), colour, str(rng.choice([c for c in COLOURS if c != colour]))


def _clear_of(panel: Panel | None, point: FloatArray, radius: float) -> bool:
    """Return whether an object at a point shows itself whole."""
    if panel is None:
        return True
    away = np.abs(point - np.array(panel.centre)) - np.array(panel.half_sides)
    return bool((away > REACH * radius).any())


def _free(
    family: str, colours: list[str], others: list[SceneObject], panel: Panel | None, rng: np.random.Generator
) -> SceneObject | None:
    """Draw an object whose first frame shows it whole, or None when forty tries found no room."""
    for _ in range(40):
        found = lone_path(family, RADII, (100.0, 205.0), others, REACH, rng, _path)
        if found is not None and _clear_of(panel, found[1][0], found[0]):
            return SceneObject(*_look(colours, rng), found[0], family, found[1])
    return None


def _crossing(colours: list[str], rng: np.random.Generator) -> list[SceneObject]:
    """Two objects that meet half-way, where a window ends, so that the later one hides the earlier one."""
    while True:
        radii = rng.uniform(*RADII, 2)
        angle = rng.uniform(0, 2 * np.pi)
        angles = (angle, angle + rng.uniform(0.6, 1.4) * np.pi)
        meeting = rng.uniform(150.0, CANVAS - 150.0, 2)
        paths = [_path("crossing", float(rng.uniform(165.0, 210.0)), float(a), rng) for a in angles]
        middle = round(SEAM * (PATH_SAMPLES - 1))
        paths = [p - p[middle] + meeting + rng.uniform(-6, 6, 2) for p in paths]
        if apart_and_inside(paths, radii, REACH):
            looks = [_look(colours, rng) for _ in paths]
            parts = zip(looks, radii, paths, strict=True)
            return [SceneObject(*look, float(r), "crossing", p) for look, r, p in parts]


def _hidden(family: str, colours: list[str], rng: np.random.Generator) -> tuple[SceneObject, Panel]:
    """Draw an object and the panel that it passes behind; it is whole in the first and in the last frame."""
    while True:
        radius = float(rng.uniform(*HIDDEN_RADII))
        axis = int(rng.integers(2))  # 0: it moves along x
        angle = float(rng.choice([0.0, np.pi])) + axis * np.pi / 2 + float(rng.uniform(-0.25, 0.25))
        path = place(_path(family, 210.0, angle, rng), radius, rng)
        if path is None:
            continue
        at = path[round(SEAM * (PATH_SAMPLES - 1))]
        half = [
            REACH * radius + GAP + float(rng.uniform(0.0, 3.0)),
            REACH * radius + float(rng.uniform(18.0, 50.0)),
        ]
        panel = Panel(
            str(rng.choice(list(PANELS))), (float(at[0]), float(at[1])), (half[axis], half[1 - axis])
        )
        if _clear_of(panel, path[0], radius) and _clear_of(panel, path[-1], radius):
            return SceneObject(*_look(colours, rng), radius, family, path), panel


def sample_scene(
    split: str,
    index: int,
    num_objects: int | None = None,
    family: str | None = None,
    drift: bool | None = None,
    panel: bool | None = None,
) -> Scene:
    """Draw scene number `index` of a split of version 2; splits never share a seed.

    Args:
        split: `train`, `validation` or `test`.
        index: scene number, >= 0.
        num_objects: 1 to 3, or None to draw it (two thirds 1, the rest 2 or 3).
        family: path family of the first object, or None to draw it.
        drift: whether the background moves, or None to draw it (one in four does).
        panel: whether the first object passes behind a panel, or None to draw it; needs one of `PANEL_FAMILIES`.
    """
    rng = np.random.default_rng([SEED, SPLITS[split], index])
    count = int(rng.choice([1, 1, 1, 1, 2, 3])) if num_objects is None else num_objects
    hides = bool(rng.random() < PANEL_SHARE and count < 3) if panel is None else panel
    if family is None:
        pool = PANEL_FAMILIES if hides else FAMILIES if count > 1 else FAMILIES[:-1]
        # every third scene with several objects is one where they meet
        meet = count > 1 and not hides and rng.random() < 0.33
        family = "crossing" if meet else str(rng.choice(pool))
    objects: list[SceneObject] = []
    while len(objects) < count:  # start over where there is no room for a further object
        colours, front = list(COLOURS), None
        if hides:
            first, front = _hidden(family, colours, rng)
            objects = [first]
        else:
            objects = _crossing(colours, rng) if family == "crossing" else []
        while len(objects) < count:
            own = family if not objects else str(rng.choice(FAMILIES[:-1]))
            further = _free(own, colours, objects, front, rng)
            if further is None:
                break
            objects.append(further)
    return finished(objects, drift, rng, front)
