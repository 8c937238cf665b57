"""What the learned tracker trains on: clips of the procedural world, drawn on the fly and made worse.

Generated videos are not renders: moved objects come out soft or half transparent, pictures are noisy,
colours wander, and whole clips went through codecs. Each sample draws some of these at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import sample_scene
from toraeval.types import BoolArray, ByteArray, FloatArray
from toraeval.video import degradation

FIRST_SCENE = 20_000_000  # beyond the scenes that the generators train on
LENGTHS = (16, 16, 24, 32, 48, 64, 96, 128)  # moments over which a path is spread: from fast to slow


@dataclass(frozen=True)
class TrackedClip:
    """One clip and the exact tracks of some points of its first frame."""

    frames_THW3: ByteArray  # uint8 RGB
    points_NT2: FloatArray  # float64 pixels of the raster
    visible_NT: BoolArray


def draw_sample(split: str, index: int, *, frames: int, points: int, raster: int) -> TrackedClip:
    """Draw training sample number `index`; the same arguments give the same bytes.

    Args:
        split: of the world, see `shapes_world.SPLITS`.
        index: >= 0; scene and damage depend on it.
        frames: length of the clip.
        points: number of points, spread over the objects.
        raster: side of the square picture, pixels.
    """
    rng = np.random.default_rng([index, 7])
    crossing = rng.random() < 0.55
    objects = int(rng.choice([2, 2, 3])) if crossing else int(rng.choice([1, 1, 2, 3]))
    scene = sample_scene(split, FIRST_SCENE + index, objects, "crossing" if crossing else None)
    length = int(rng.choice([n for n in LENGTHS if n >= frames] or [frames]))
    renderer = SceneRenderer(scene, length, raster, raster)
    start = int(rng.integers(0, length - frames + 1))
    if crossing:  # the meeting is half-way: most windows shall contain it
        start = int(np.clip(length // 2 - rng.integers(2, frames), 0, length - frames))
    moments = np.arange(start, start + frames)
    if rng.random() < 0.2:
        moments = moments[::-1]
    clip = np.stack([renderer.frame(int(t)) for t in moments])
    owners = _owners(renderer, moments)
    tracks, visible = _points(renderer, moments, owners, points, rng)
    clip = _damage(clip, renderer, moments, owners, rng)
    clip, hidden = _cover(clip, tracks, rng)
    return TrackedClip(clip, tracks, visible & ~hidden)


def _owners(renderer: SceneRenderer, moments: np.ndarray) -> np.ndarray:
    """Return int8 (T, H, W): the object seen at each pixel, -1 for the background."""
    out = np.full((len(moments), renderer.height, renderer.width), -1, np.int8)
    for row, t in zip(out, moments, strict=True):
        for n in range(len(renderer.scene.objects)):
            (x0, y0, x1, y1), body, _ = renderer.coverage(n, int(t))
            row[y0:y1, x0:x1][body >= 0.5] = n
    return out


def _points(
    renderer: SceneRenderer, moments: np.ndarray, owners: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[FloatArray, BoolArray]:
    """Return tracks and visibility of points on the objects, half of them at centres."""
    height, width = owners.shape[1:]
    centres = renderer.tracks_NT2[:, moments]
    seen = [n for n in range(len(centres)) if (owners[0] == n).any()]
    tracks, visible = [], []
    for number in range(count):
        n = seen[number % len(seen)]
        offset = np.zeros(2)
        column, row = np.rint(centres[n, 0]).astype(int)
        covered = not (0 <= row < height and 0 <= column < width) or owners[0, row, column] != n
        if covered or rng.random() < 0.5:
            body = (owners[0] == n).astype(np.uint8)
            inner = cv2.erode(body, np.ones((3, 3), np.uint8))  # a point on the rim belongs to two things
            place = np.argwhere(inner if inner.any() else body)
            offset = place[rng.integers(len(place)), ::-1] + rng.uniform(-0.5, 0.5, 2) - centres[n, 0]
        path = centres[n] + offset
        cells = np.rint(path).astype(int)
        inside = ((cells >= 0) & (cells < (width, height))).all(-1)
        cells = np.clip(cells, 0, (width - 1, height - 1))
        tracks.append(path)
        # what is drawn later lies on top
        visible.append(inside & (owners[np.arange(len(moments)), cells[:, 1], cells[:, 0]] <= n))
    return np.stack(tracks), np.stack(visible)


def _damage(
    clip: ByteArray,
    renderer: SceneRenderer,
    moments: np.ndarray,
    owners: np.ndarray,
    rng: np.random.Generator,
) -> ByteArray:
    if rng.random() < 0.45:
        backgrounds = np.stack([renderer.background(int(t)) for t in moments])
        clip = degradation.fade_objects(
            clip,
            backgrounds,
            owners >= 0,
            sigma=float(rng.uniform(0.3, 3.5)),
            share=float(rng.uniform(0.0, 0.65)),
            ramp=int(rng.integers(1, 12)),
        )
    clip = np.ascontiguousarray(clip[..., rng.permutation(3)])
    if rng.random() < 0.3:
        clip = 255 - clip
    if rng.random() < 0.5:
        clip = _expose(clip, rng)
    if rng.random() < 0.35:
        clip = degradation.blur(clip, float(rng.uniform(0.3, 2.5)))
    if rng.random() < 0.4:
        clip = degradation.noise(clip, float(rng.uniform(2, 22)), rng)
    if rng.random() < 0.25:
        clip = _blotches(clip, rng)
    if rng.random() < 0.3:
        clip = degradation.blocks(clip, int(rng.integers(8, 60)))
    return clip


def _expose(clip: ByteArray, rng: np.random.Generator) -> ByteArray:
    """Change contrast and brightness, and let them wander over time."""
    ramp = np.linspace(0.0, 1.0, len(clip), dtype=np.float32)[:, None, None, None]
    gain = rng.uniform(0.6, 1.2) + rng.uniform(-0.25, 0.25) * ramp
    shift = rng.uniform(-20, 20) + rng.uniform(-20, 20) * ramp
    return np.clip(np.rint((clip - np.float32(128)) * gain + 128 + shift), 0, 255).astype(np.uint8)


def _blotches(clip: ByteArray, rng: np.random.Generator) -> ByteArray:
    """Add coarse colour noise that changes from frame to frame."""
    count, height, width = clip.shape[:3]
    cells = int(rng.integers(6, 33))
    coarse = rng.normal(0.0, rng.uniform(3, 14), (count, cells, cells, 3)).astype(np.float32)
    full = np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in coarse])
    return np.clip(np.rint(clip + full), 0, 255).astype(np.uint8)


def _cover(clip: ByteArray, tracks_NT2: FloatArray, rng: np.random.Generator) -> tuple[ByteArray, BoolArray]:
    """Sometimes draw a bar over everything from the second frame on; also return which points it hides."""
    hidden = np.zeros(tracks_NT2.shape[:2], bool)
    if rng.random() > 0.3:
        return clip, hidden
    count, height, width = clip.shape[:3]
    size = rng.uniform(0.06, 0.25, 2) * (width, height)
    middle = tracks_NT2[int(rng.integers(len(tracks_NT2))), int(rng.integers(1, count))]
    pace = rng.uniform(-2, 2, 2) * (rng.random() < 0.5)
    colour = rng.integers(0, 256, 3)
    clip = clip.copy()
    for t in range(1, count):
        low = middle + pace * (t - count // 2) - size / 2
        (x0, y0), (x1, y1) = (np.clip(np.rint(v), 0, (width, height)).astype(int) for v in (low, low + size))
        clip[t, y0:y1, x0:x1] = colour
        inside = (tracks_NT2[:, t] >= (x0 - 0.5, y0 - 0.5)) & (tracks_NT2[:, t] < (x1 - 0.5, y1 - 0.5))
        hidden[:, t] = inside.all(-1)
    return clip, hidden
