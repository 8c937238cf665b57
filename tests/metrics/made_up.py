"""Made-up cases with a known answer: paths, tracks, and clips of a two-coloured disc on a smooth field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from toraeval.types import BoolArray, ByteArray, Case, FloatArray, Reference, Tracks, Trajectories, Video

SIZE = (160, 128)
RADIUS = 12
COLOURS = (((220, 40, 40), (50, 200, 220)), ((245, 220, 60), (45, 80, 220)))


def make_tracks(points: Any, visible: Any = None) -> Tracks:
    """Return tracks that the tracker believes visible everywhere unless said otherwise."""
    points = np.asarray(points, dtype=np.float64)
    seen = np.ones(points.shape[:2], dtype=bool) if visible is None else np.asarray(visible, dtype=bool)
    return Tracks(points, seen)


def make_case(
    target: Any,
    visible: Any = None,
    size: tuple[int, int] = SIZE,
    reference: Callable[[], Reference] | None = None,
    prompt: str = "a red circle with a cyan disc moves over a grey background",
) -> Case:
    """Return a case that asks for these paths."""
    target = np.asarray(target, dtype=np.float64)
    visible = np.ones(target.shape[:2], dtype=bool) if visible is None else np.asarray(visible, dtype=bool)
    path = Trajectories(target, visible, size)
    frames = target.shape[1]
    first = reference().video.thwc[0] if reference else None
    return Case("case", "test-v1", prompt, path, frames, size[1], size[0], 8.0, 0, first, reference=reference)


def line(
    frames: int = 16, start: tuple[float, float] = (40, 50), end: tuple[float, float] = (110, 80)
) -> FloatArray:
    """Return one straight path, float64 (1, `frames`, 2)."""
    share = np.linspace(0.0, 1.0, frames)[:, None]
    return (np.array(start) + share * (np.array(end) - np.array(start)))[None]


def field(size: tuple[int, int] = SIZE) -> ByteArray:
    """Return a smooth uint8 background (H, W, 3)."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return np.stack([110 + 0.1 * x, 120 + 0.1 * y, 130 - 0.1 * x], axis=-1).astype(np.uint8)


def draw(paths_NT2: FloatArray, size: tuple[int, int] = SIZE) -> tuple[ByteArray, BoolArray]:
    """Return uint8 frames (T, H, W, 3) with a disc on each whole-pixel place, and bool masks (N, T, H, W)."""
    places = np.rint(paths_NT2).astype(int)
    frames = np.repeat(field(size)[None], places.shape[1], axis=0)
    masks = np.zeros((*places.shape[:2], size[1], size[0]), bool)
    for n, (body, disc) in zip(range(len(places)), COLOURS, strict=False):
        for t, (x, y) in enumerate(places[n]):
            frame = np.ascontiguousarray(frames[t])
            cv2.circle(frame, (int(x), int(y)), RADIUS, body, cv2.FILLED)
            cv2.circle(frame, (int(x), int(y)), RADIUS // 2, disc, cv2.FILLED)
            frames[t] = frame
            solid = np.zeros(frame.shape[:2], np.uint8)
            cv2.circle(solid, (int(x), int(y)), RADIUS, 1, cv2.FILLED)
            masks[:n, t] &= solid == 0
            masks[n, t] = solid > 0
    return frames, masks


def make_clip(target_NT2: FloatArray, size: tuple[int, int] = SIZE) -> tuple[Case, Video]:
    """Return a case on whole pixels with its exact render as reference, and that render."""
    target = np.rint(target_NT2)
    frames, masks = draw(target, size)
    video = Video.from_thwc(frames, 8.0)
    return make_case(target, size=size, reference=lambda: Reference(video, lambda: masks)), video


def clip(frames_THWC: Any) -> Video:
    """Return frames as a video."""
    return Video.from_thwc(np.ascontiguousarray(frames_THWC, dtype=np.uint8), 8.0)
