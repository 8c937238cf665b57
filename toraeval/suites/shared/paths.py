"""Path families of the `shapes` world: ten ways in which an object can travel.

A path is a polyline over a time parameter u in [0, 1], so that the same geometry serves
every number of frames; only the speed per frame changes.
"""

from __future__ import annotations

import numpy as np

from toraeval.types import FloatArray

PATH_SAMPLES = 1025  # dense enough that linear interpolation errs by less than 0.02 px

FAMILIES = (
    "line", "curve", "circle", "wave", "zigzag", "spiral", "figure_eight", "stop_and_go", "shake", "crossing",
)  # fmt: skip


def _shape(family: str, u: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the points (len(u), 2) of a family's curve, of any size and place; its free parameters are drawn."""
    match family:
        case "curve" | "circle":
            turn = rng.uniform(*((0.6, 1.2) if family == "curve" else (1.5, 2.0))) * np.pi
            turn *= rng.choice([-1.0, 1.0])
            return np.stack([np.sin(turn * u) / turn, (1 - np.cos(turn * u)) / turn], -1)
        case "wave":
            periods = rng.uniform(1.25, 2.0)
            return np.stack([u, rng.uniform(0.12, 0.18) * np.sin(2 * np.pi * periods * u)], -1)
        case "zigzag":
            corners = int(rng.integers(3, 5))
            triangle = np.abs((u * corners + 1) % 2 - 1)
            return np.stack([u, rng.uniform(0.2, 0.3) * triangle * rng.choice([-1.0, 1.0])], -1)
        case "spiral":
            turn = rng.uniform(2.5, 3.2) * np.pi * rng.choice([-1.0, 1.0])
            # equal steps along an Archimedean spiral need the square root of time
            swept = np.sqrt(0.04 + 0.96 * u) - 0.2
            return np.stack([swept * np.cos(turn * swept), swept * np.sin(turn * swept)], -1)
        case "figure_eight":
            angle = 2 * np.pi * u * rng.choice([-1.0, 1.0])
            return np.stack([np.sin(angle), 0.5 * np.sin(2 * angle)], -1)
        case "stop_and_go":
            rest = rng.uniform(0.25, 0.35)
            start = rng.uniform(0.25, 0.45)
            warped = np.interp(u, [0.0, start, start + rest, 1.0], [0.0, 0.5, 0.5, 1.0])
            return _shape("curve" if rng.random() < 0.5 else "line", warped, rng)
        case "shake":
            swings = int(rng.integers(2, 4))
            return np.stack([np.sin(2 * np.pi * swings * u), rng.uniform(0.0, 0.6) * u], -1)
    return np.stack([u, np.zeros_like(u)], -1)  # line, crossing


def sample_path(family: str, length_px: float, angle: float, rng: np.random.Generator) -> FloatArray:
    """Draw one path of a family, starting at the origin.

    Args:
        family: one of `FAMILIES`.
        length_px: arc length in pixels of the 512 canvas.
        angle: rotation in radians.
        rng: source of the free parameters of the family.

    Returns:
        float64 (PATH_SAMPLES, 2) offsets from the start point.
    """
    u = np.linspace(0.0, 1.0, PATH_SAMPLES)
    path = _shape(family, u, rng)
    path = path - path[0]
    path *= length_px / np.linalg.norm(np.diff(path, axis=0), axis=-1).sum()
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(path @ np.array([[cos, sin], [-sin, cos]]))
