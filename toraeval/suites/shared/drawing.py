"""What drawn worlds share: the canvas, splits, paths that stay on it, and the drawing of a scene.

Everything is laid out on a 512 x 512 canvas and scaled when rendered, so that a scene is the same at every size and
length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from toraeval.suites.shared.paths import PATH_SAMPLES, sample_path
from toraeval.types import BoolArray, ByteArray, FloatArray

CANVAS = 512
SPLITS = {"train": 1, "validation": 2, "test": 3}
Box = tuple[int, int, int, int]


def rounded(values: FloatArray) -> bytes:
    """Return numbers as whole millionths, so that the last bit of a maths library does not change a hash."""
    return np.round(values * 1e6).astype(np.int64).tobytes()


def at_frames(path_PK: FloatArray, frames: int) -> FloatArray:
    """Return float64 (frames, K): a densely sampled path at the moments of a clip."""
    index = np.linspace(0.0, PATH_SAMPLES - 1, frames) if frames > 1 else np.zeros(1)
    grid = np.arange(PATH_SAMPLES)
    return np.stack([np.interp(index, grid, path_PK[:, k]) for k in range(path_PK.shape[1])], -1)


def place(path_P2: FloatArray, radius: float, rng: np.random.Generator) -> FloatArray | None:
    """Shift a path so that the whole object stays on the canvas; None when it is too wide."""
    low, high = radius - path_P2.min(axis=0), CANVAS - 1 - radius - path_P2.max(axis=0)
    return None if (low > high).any() else np.asarray(path_P2 + rng.uniform(low, high))


def lone_path(
    family: str,
    radii: tuple[float, float],
    lengths: tuple[float, float],
    others: Sequence[Any],
    gap: float,
    rng: np.random.Generator,
    draw: Callable[..., FloatArray] = sample_path,
) -> tuple[float, FloatArray] | None:
    """Draw radius and path of an object that the first frame shows whole, or None where there is no room for it.

    Args:
        family: of the path.
        radii, lengths: bounds of radius and arc length, canvas pixels.
        others: objects with `path_P2` and `radius` whose start points it keeps clear of.
        gap: least distance between start points, in units of the sum of the radii.
        rng: source of everything.
        draw: makes the path, as `sample_path` does.
    """
    radius = float(rng.uniform(*radii))
    length = float(rng.uniform(*lengths))
    path = place(draw(family, length, float(rng.uniform(0, 2 * np.pi)), rng), radius, rng)
    if path is None:
        return None
    clear = all(np.linalg.norm(path[0] - o.path_P2[0]) > gap * (radius + o.radius) for o in others)
    return (radius, path) if clear else None


def apart_and_inside(paths: Sequence[FloatArray], radii: FloatArray, gap: float) -> bool:
    """Tell whether two objects stay on the canvas and start apart by `gap` times the sum of their radii."""
    inside = all(p.min() > r and p.max() < CANVAS - 1 - r for p, r in zip(paths, radii, strict=True))
    return bool(inside and np.linalg.norm(paths[0][0] - paths[1][0]) > gap * radii.sum())


class DrawnScene:
    """A clip before rendering; later `objects` are drawn over earlier ones."""

    objects: tuple[Any, ...]
    caption: str

    @property
    def names(self) -> tuple[str, ...]:
        """What each followed object or point is called."""
        raise NotImplementedError

    def tracks(self, frames: int) -> FloatArray:
        """Return float64 (N, frames, 2): the followed points in canvas pixels."""
        return np.stack([at_frames(o.path_P2, frames) for o in self.objects])

    def content(self) -> bytes:
        """Return everything that decides how the scene looks, for hashes."""
        raise NotImplementedError


S = TypeVar("S", bound=DrawnScene)


class Renderer(ABC, Generic[S]):
    """Draws one scene at one size and length.

    Args:
        scene: what to draw.
        frames: number of frames, >= 1.
        width, height: size in pixels.
    """

    still: bool  # whether the background is the same in all frames

    def __init__(self, scene: S, frames: int, width: int = CANVAS, height: int = CANVAS) -> None:
        self.scene, self.frames, self.width, self.height = scene, frames, width, height
        self.scale = min(width, height) / CANVAS
        self._stretch = np.array([width / CANVAS, height / CANVAS])
        self.tracks_NT2 = self._pixels(scene.tracks(frames))

    def _pixels(self, points: FloatArray) -> FloatArray:
        """Return points of the canvas in pixels of this size; pixel centres sit at integers."""
        return np.asarray((points + 0.5) * self._stretch - 0.5)

    @abstractmethod
    def background(self, frame: int) -> ByteArray:
        """Return the uint8 (H, W, 3) background of a frame, without objects."""

    @abstractmethod
    def frame(self, index: int, base: ByteArray | None = None) -> ByteArray:
        """Return the uint8 (H, W, 3) picture of a frame; `base` is its background when known."""

    @abstractmethod
    def solid(self, index: int, frame: int) -> tuple[Box, BoolArray]:
        """Return the half-open box (x0, y0, x1, y1) of an object and which pixels in it are at least half covered."""

    def render(self) -> ByteArray:
        """Return the uint8 (T, H, W, 3) clip."""
        return self.render_frames(range(self.frames))

    def render_frames(self, numbers: Iterable[int]) -> ByteArray:
        """Return the uint8 (K, H, W, 3) pictures of some frames."""
        chosen = [int(t) for t in numbers]
        still = self.background(0) if self.still else None
        out = np.empty((len(chosen), self.height, self.width, 3), np.uint8)
        for picture, t in zip(out, chosen, strict=True):
            picture[:] = self.frame(t, still)
        return out

    def masks(self) -> BoolArray:
        """Return bool (N, T, H, W): the visible pixels of each object (at least half covered)."""
        out = np.zeros((len(self.tracks_NT2), self.frames, self.height, self.width), bool)
        for t in range(self.frames):
            for n in range(len(self.scene.objects)):
                (x0, y0, x1, y1), solid = self.solid(n, t)
                out[:n, t, y0:y1, x0:x1] &= ~solid
                out[n, t, y0:y1, x0:x1] = solid
        return out

    @abstractmethod
    def visible(self) -> BoolArray:
        """Return bool (N, T): whether each followed point is inside the picture and nothing covers it."""

    def _inside(self) -> BoolArray:
        x, y = self.tracks_NT2[..., 0], self.tracks_NT2[..., 1]
        return np.asarray((x >= -0.5) & (y >= -0.5) & (x < self.width - 0.5) & (y < self.height - 0.5))
