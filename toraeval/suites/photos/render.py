"""Rendering of the suite `photos`: frames, visibility and masks.

A picture that gets smaller is filtered before it is sampled, by a Gaussian that stands for the area of a pixel, so
that nothing flickers by aliasing; in between it is sampled by cubic interpolation, which OpenCV places to 1/32 pixel.
Cut-outs are blended with premultiplied colours and soft edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from toraeval.suites.photos.files import ANCHORS, half_size, outline, photograph
from toraeval.suites.photos.world import MIDDLE, PhotoScene
from toraeval.suites.shared.drawing import CANVAS, Box, Renderer
from toraeval.types import BoolArray, ByteArray, FloatArray

AREA_SIGMA = 0.5  # of the Gaussian, in output pixels, that filters what is sampled coarser than its pixels
FEATHER = 1.0  # of the edge of a cut-out, output pixels
SHADOW, SHADOW_SIGMA, SHADOW_SHIFT = 0.4, 7.0, (7.0, 9.0)  # darkness, blur and place, canvas pixels
POINT_RADIUS = 24.0  # of the ground that counts as a followed point's area, canvas pixels in frame 0


@dataclass(frozen=True)
class Sprite:
    """A cut-out at the size of the video.

    Attributes:
        layers_HW4: float32 premultiplied RGB in 0..255 and coverage in 0..1.
        anchor_2: pixel `(x, y)` of the followed point.
    """

    layers_HW4: np.ndarray
    anchor_2: FloatArray


def filtered(picture: np.ndarray, step: float) -> np.ndarray:
    """Return a picture made ready for being sampled every `step` of its pixels."""
    if step <= 1.0:
        return picture
    sigma = AREA_SIGMA * float(np.sqrt(step**2 - 1))
    return cv2.GaussianBlur(picture, (0, 0), sigma)


@cache
def sprite(name: str, half: float) -> Sprite:
    """Return a cut-out whose longer side is `2 half` output pixels, with a margin for its soft edge."""
    rows, columns = np.nonzero(outline(name))
    pad = 4
    y0, y1, x0, x1 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    scale = half / half_size(name)
    margin = int(np.ceil(pad / scale))
    alpha = np.pad(outline(name)[y0:y1, x0:x1].astype(np.float32), margin)
    colour = np.pad(photograph(name)[y0:y1, x0:x1].astype(np.float32), ((margin, margin),) * 2 + ((0, 0),))
    size = (max(8, round(alpha.shape[1] * scale)), max(8, round(alpha.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    layers = np.concatenate([colour * alpha[..., None], alpha[..., None]], -1)
    small = np.clip(cv2.resize(layers, size, interpolation=method), 0, 255)
    solid = np.clip(small[..., 3], 0, 1)
    soft = np.clip(
        cv2.GaussianBlur(solid, (0, 0), FEATHER) * 2 - 1, 0, 1
    )  # inwards: no ground of its photograph
    rgb = small[..., :3] / np.maximum(solid, 1e-3)[..., None]
    whole = np.concatenate([rgb * soft[..., None], soft[..., None]], -1).astype(np.float32)
    ratio = np.array(size) / np.array([alpha.shape[1], alpha.shape[0]])
    place = np.array(ANCHORS[name]) - np.array([x0, y0]) + margin
    return Sprite(whole, (place + 0.5) * ratio - 0.5)


class PhotoRenderer(Renderer[PhotoScene]):
    """Draws one scene of the suite `photos` at one size and length."""

    def __init__(self, scene: PhotoScene, frames: int, width: int = CANVAS, height: int = CANVAS) -> None:
        super().__init__(scene, frames, width, height)
        self._camera_T4 = scene.camera(frames)
        self.still = bool((self._camera_T4 == self._camera_T4[0]).all())

    def background(self, frame: int) -> ByteArray:
        x, y, scale, angle = self._camera_T4[frame]
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        # output pixel -> canvas -> photograph
        matrix = np.zeros((2, 3))
        matrix[:, :2] = turn / self._stretch
        matrix[:, 2] = turn @ (0.5 / self._stretch - 0.5 - MIDDLE) + np.array([x, y])
        picture = filtered(photograph(self.scene.ground), float(scale / self.scale))
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(
            picture, matrix, (self.width, self.height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(out)

    def layer(self, index: int, frame: int) -> tuple[Box, np.ndarray]:
        """Return the window (x0, y0, x1, y1) of an object and its float32 premultiplied RGB and coverage there."""
        thing = self.scene.objects[index]
        u = frame / max(1, self.frames - 1) - 0.5
        largest = max(thing.growth**0.5, thing.growth**-0.5)
        made = sprite(thing.name, round(thing.radius * self.scale * largest, 3))
        zoom, angle = thing.growth**u / largest, thing.turn * u
        centre = self.tracks_NT2[index, frame]
        reach = zoom * float(
            np.hypot(*np.maximum(made.anchor_2, np.array(made.layers_HW4.shape[1::-1]) - made.anchor_2))
        )
        x0, y0 = (max(0, int(np.floor(c - reach))) for c in centre)
        x1 = max(x0, min(self.width, int(np.ceil(centre[0] + reach)) + 1))
        y1 = max(y0, min(self.height, int(np.ceil(centre[1] + reach)) + 1))
        if x0 == x1 or y0 == y1:
            return (x0, y0, x0, y0), np.zeros((0, 0, 4), np.float32)
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        matrix = np.zeros((2, 3))
        matrix[:, :2] = turn
        matrix[:, 2] = centre - np.array([x0, y0]) - turn @ made.anchor_2
        drawn = cv2.warpAffine(
            made.layers_HW4, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT
        )
        drawn[..., 3] = np.clip(drawn[..., 3], 0, 1)
        return (x0, y0, x1, y1), drawn

    def frame(self, index: int, base: ByteArray | None = None) -> ByteArray:
        out = np.array(self.background(index) if base is None else base)
        for n, thing in enumerate(self.scene.objects):
            (x0, y0, x1, y1), drawn = self.layer(n, index)
            if thing.shadow:
                self._cast(out, drawn[..., 3], (x0, y0))
            patch = out[y0:y1, x0:x1]
            mixed = patch * (1 - drawn[..., 3:]) + drawn[..., :3]
            out[y0:y1, x0:x1] = np.clip(np.rint(mixed), 0, 255)
        return out

    def _cast(self, out: ByteArray, coverage: np.ndarray, corner: tuple[int, int]) -> None:
        """Darken the picture where an object's blurred outline lies, moved to the lower right."""
        if not coverage.size:
            return
        sigma = SHADOW_SIGMA * self.scale
        pad = int(np.ceil(3 * sigma))
        dark = SHADOW * cv2.GaussianBlur(np.pad(coverage, pad), (0, 0), sigma)
        # whole pixels: what a soft shadow loses by that cannot be seen
        x0, y0 = (c - pad + round(shift * self.scale) for c, shift in zip(corner, SHADOW_SHIFT, strict=True))
        x1, y1 = min(self.width, x0 + dark.shape[1]), min(self.height, y0 + dark.shape[0])
        left, top = max(0, x0), max(0, y0)
        if left >= x1 or top >= y1:
            return
        part = dark[top - y0 : y1 - y0, left - x0 : x1 - x0, None]
        out[top:y1, left:x1] = np.rint(out[top:y1, left:x1] * (1 - part))

    def solid(self, index: int, frame: int) -> tuple[Box, BoolArray]:
        box, drawn = self.layer(index, frame)
        return box, np.asarray(drawn[..., 3] >= 0.5)

    def masks(self) -> BoolArray:
        """Return bool (N, T, H, W): each object's visible pixels (half covered), or the ground at a point."""
        out = super().masks()
        if not self.scene.objects:
            rows, columns = np.ogrid[: self.height, : self.width]
            for t in range(self.frames):
                radius = POINT_RADIUS * self.scale * self._camera_T4[0, 2] / self._camera_T4[t, 2]
                for n, (x, y) in enumerate(self.tracks_NT2[:, t]):
                    out[n, t] = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
        return out

    def visible(self) -> BoolArray:
        tracks, inside = self.tracks_NT2, self._inside()
        for m in range(1, len(self.scene.objects)):
            for t in range(self.frames):
                (x0, y0, x1, y1), solid = self.solid(m, t)
                for n in range(m):
                    x, y = np.rint(tracks[n, t]).astype(int)
                    if x0 <= x < x1 and y0 <= y < y1 and solid[y - y0, x - x0]:
                        inside[n, t] = False
        return inside
