"""Rendering of the `shapes` world: frames, visibility, masks and dense flow, all exact.

Only the windows around the objects are drawn; the background is one smooth picture that
is copied, or shifted by sub-pixel steps when it drifts.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from toraeval.suites.shapes.world import COLOURS, DISC, DRIFT_PX, DRIFTS, PANELS, Scene
from toraeval.suites.shared.drawing import CANVAS, Box, Renderer
from toraeval.types import BoolArray, ByteArray

_PAD = int(DRIFT_PX) + 2  # canvas pixels of background kept beyond each border for drifting


def _signed_distance(shape: str, dx: np.ndarray, dy: np.ndarray, radius: float) -> np.ndarray:
    """Distance to the outline in pixels, negative inside; `dx` is a row, `dy` a column."""
    if shape == "circle":
        return np.sqrt(dx * dx + dy * dy) - radius
    if shape == "square":
        return np.maximum(np.abs(dx), np.abs(dy)) - np.float32(0.88 * radius)
    if shape == "diamond":
        return (np.abs(dx) + np.abs(dy) - np.float32(1.18 * radius)) * np.float32(0.70710678)
    inner = np.float32(0.6 * radius)  # radius of the circle inside the triangle
    sides = np.abs(dx) * np.float32(0.8660254) - dy * np.float32(0.5) - inner
    return np.maximum(dy - inner, sides)


class SceneRenderer(Renderer[Scene]):
    """Draws one scene of the `shapes` world at one size and length."""

    def __init__(self, scene: Scene, frames: int, width: int = CANVAS, height: int = CANVAS) -> None:
        super().__init__(scene, frames, width, height)
        self.still = scene.drift is None
        moved_T2 = np.zeros((frames, 2))  # of the background, canvas pixels
        if scene.drift is not None:
            moved_T2 = np.linspace(0.0, 1.0, frames)[:, None] * np.array(DRIFTS[scene.drift]) * DRIFT_PX
        self.offsets_T2 = moved_T2 * self._stretch
        pad_x, pad_y = (int(np.ceil(_PAD * s)) for s in self._stretch)
        size = (self.width + 2 * pad_x, self.height + 2 * pad_y)
        drawn = cv2.resize(scene.grid_GG3.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        self._backdrop: np.ndarray = np.clip(drawn, 0, 255)
        self._panel = self._draw_panel()

    def _draw_panel(self) -> tuple[Box, np.ndarray] | None:
        """Return the box (x0, y0, x1, y1) of the panel and its float32 coverage in [0, 1]."""
        panel = self.scene.panel
        if panel is None:
            return None
        centre = self._pixels(np.array(panel.centre))
        half = np.array(panel.half_sides) * self._stretch
        x0, y0 = (int(max(0, v)) for v in np.floor(centre - half))
        x1 = int(min(self.width, np.ceil(centre[0] + half[0]) + 1))
        y1 = int(min(self.height, np.ceil(centre[1] + half[1]) + 1))
        across = np.clip(0.5 + half[0] - np.abs(np.arange(x0, x1) - centre[0]), 0.0, 1.0)
        down = np.clip(0.5 + half[1] - np.abs(np.arange(y0, y1) - centre[1]), 0.0, 1.0)
        return (x0, y0, x1, y1), (down[:, None] * across).astype(np.float32)

    def add_panel(self, picture: ByteArray) -> ByteArray:
        """Draw the panel, if there is one, into a uint8 (H, W, 3) picture, which is changed and returned."""
        if self._panel is not None:
            assert self.scene.panel is not None
            (x0, y0, x1, y1), cover = self._panel
            patch = picture[y0:y1, x0:x1].astype(np.float32)
            patch += cover[..., None] * (np.array(PANELS[self.scene.panel.colour], np.float32) - patch)
            picture[y0:y1, x0:x1] = np.rint(patch)
        return picture

    def clear_panel(self, array: np.ndarray, value: float | bool = 0, top: int = 0, left: int = 0) -> None:
        """Set what the panel covers at least half to a value.

        Args:
            array: (..., h, w), a part of the picture or all of it; it is changed.
            value: what is set.
            top, left: pixel of the picture at the array's first row and column.
        """
        if self._panel is None:
            return
        (x0, y0, x1, y1), cover = self._panel
        height, width = array.shape[-2:]
        low_x, low_y = max(x0, left), max(y0, top)
        high_x, high_y = min(x1, left + width), min(y1, top + height)
        if low_x < high_x and low_y < high_y:
            solid = cover[low_y - y0 : high_y - y0, low_x - x0 : high_x - x0] >= 0.5
            array[..., low_y - top : high_y - top, low_x - left : high_x - left][..., solid] = value

    def background(self, frame: int) -> ByteArray:
        pad_x, pad_y = (int(np.ceil(_PAD * s)) for s in self._stretch)
        shift = self.offsets_T2[frame]
        if not shift.any():
            crop = self._backdrop[pad_y : pad_y + self.height, pad_x : pad_x + self.width]
            return np.asarray(np.rint(crop), dtype=np.uint8)
        matrix = np.array([[1.0, 0.0, pad_x - shift[0]], [0.0, 1.0, pad_y - shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(self._backdrop, matrix, (self.width, self.height), flags=flags)
        return np.asarray(np.rint(moved), dtype=np.uint8)

    def window(self, index: int, frame: int) -> Box:
        """Return (x0, y0, x1, y1), the half-open box that holds an object in a frame."""
        centre = self.tracks_NT2[index, frame]
        reach = 1.25 * self.scene.objects[index].radius * self.scale + 2.0
        x0, y0 = (int(max(0, np.floor(c - reach))) for c in centre)
        x1 = int(min(self.width, np.ceil(centre[0] + reach) + 1))
        y1 = int(min(self.height, np.ceil(centre[1] + reach) + 1))
        return x0, y0, max(x0, x1), max(y0, y1)

    def coverage(self, index: int, frame: int) -> tuple[Box, np.ndarray, np.ndarray]:
        """Return the window of an object and its float32 coverage and disc coverage in [0, 1]."""
        obj = self.scene.objects[index]
        x0, y0, x1, y1 = box = self.window(index, frame)
        centre = self.tracks_NT2[index, frame]
        dx = (np.arange(x0, x1) - centre[0]).astype(np.float32)[None, :]
        dy = (np.arange(y0, y1) - centre[1]).astype(np.float32)[:, None]
        body = np.clip(0.5 - _signed_distance(obj.shape, dx, dy, obj.radius * self.scale), 0.0, 1.0)
        disc = np.clip(0.5 - _signed_distance("circle", dx, dy, DISC * obj.radius * self.scale), 0.0, 1.0)
        return box, body, disc

    def frame(self, index: int, base: ByteArray | None = None) -> ByteArray:
        out = np.array(self.background(index) if base is None else base)
        for n, obj in enumerate(self.scene.objects):
            (x0, y0, x1, y1), body, disc = self.coverage(n, index)
            colour = np.array(COLOURS[obj.colour], np.float32)
            inner = np.array(COLOURS[obj.disc], np.float32)
            patch = out[y0:y1, x0:x1].astype(np.float32)
            patch += body[..., None] * (colour - patch)
            patch += disc[..., None] * (inner - patch)
            out[y0:y1, x0:x1] = np.rint(patch)
        return self.add_panel(out)

    def solid(self, index: int, frame: int) -> tuple[Box, BoolArray]:
        box, body, _ = self.coverage(index, frame)
        return box, np.asarray(body >= 0.5)

    def masks(self) -> BoolArray:
        out = super().masks()
        self.clear_panel(out)
        return out

    def visible(self) -> BoolArray:
        tracks, out = self.tracks_NT2, self._inside()
        for n in range(len(self.scene.objects)):
            for m in range(n + 1, len(self.scene.objects)):
                obj = self.scene.objects[m]
                delta = (tracks[n] - tracks[m]).astype(np.float32)
                out[n] &= _signed_distance(obj.shape, delta[:, 0], delta[:, 1], obj.radius * self.scale) > 0
        if self.scene.panel is not None:
            centre = self._pixels(np.array(self.scene.panel.centre))
            half = np.array(self.scene.panel.half_sides) * self._stretch
            out &= ~(np.abs(tracks - centre) < half).all(-1)
        return out

    def dense_flow(self) -> Iterator[np.ndarray]:
        """Yield float32 (H, W, 2) displacement from the frame before, at its source position; zero for frame 0."""
        yield np.zeros((self.height, self.width, 2), np.float32)
        for _, top, left, part in self.flow_patches():
            flow = np.zeros((self.height, self.width, 2), np.float32)
            flow[top : top + part.shape[0], left : left + part.shape[1]] = part
            yield flow

    def flow_patches(
        self, first: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, int, int, np.ndarray]]:
        """Yield frame, top, left and the part of `dense_flow` around the objects, or all if the background drifts.

        Args:
            first, end: frames of the clip to look at, all by default; the first of them has no flow.
        """
        steps = np.diff(self.tracks_NT2, axis=1).astype(np.float32)
        drift = np.diff(self.offsets_T2, axis=0).astype(np.float32)
        for t in range(first + 1, self.frames if end is None else end):
            solids = [self.solid(n, t - 1) for n in range(len(steps))]
            boxes = np.array([box for box, _ in solids])
            corners = (boxes[:, :2].min(0), boxes[:, 2:].max(0))  # of objects beyond the border, nothing
            (left, top), (right, bottom) = np.minimum(corners, (self.width, self.height)).tolist()
            if drift[t - 1].any():
                left, top, right, bottom = 0, 0, self.width, self.height
            flow = np.broadcast_to(drift[t - 1], (bottom - top, right - left, 2)).copy()
            for n, ((x0, y0, x1, y1), solid) in enumerate(solids):
                flow[y0 - top : y1 - top, x0 - left : x1 - left][solid] = steps[n, t - 1]
            self.clear_panel(flow.transpose(2, 0, 1), 0, top, left)
            yield t, top, left, flow
