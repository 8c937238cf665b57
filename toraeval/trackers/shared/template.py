"""The look of a tracked point in frame 0: its extent, its colours and where its texture lies.

A point on a flat-coloured object is described by the whole object, a point on texture by a square patch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.trackers.shared.frame_view import FrameView
from toraeval.types import BoolArray, ByteArray, FloatArray

Floats = npt.NDArray[np.float32]
_CROSS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Support:
    """The pixels of frame 0 that belong to a point.

    Attributes:
        mask_HW: bool, whole frame.
        kind: `region` for a bounded flat-coloured object, `patch` for a square of pixels.
    """

    mask_HW: BoolArray
    kind: str


def _flood(lab: ByteArray, seed_mask: BoolArray, step: int) -> BoolArray:
    """Return the pixels reachable from the seeds by colour steps of at most `step` between neighbours."""
    marks = np.zeros((lab.shape[0] + 2, lab.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    for y, x in np.argwhere(seed_mask):
        if not marks[y + 1, x + 1]:
            cv2.floodFill(lab, marks, (int(x), int(y)), 0, (step,) * 3, (step,) * 3, flags)
    return np.asarray(marks[1:-1, 1:-1] > 0)


def _dilate(mask: BoolArray, pixels: int) -> BoolArray:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _CROSS, iterations=pixels) > 0)


def _reach(mask: BoolArray, x: int, y: int) -> int:
    ys, xs = np.nonzero(mask)
    return int(max(np.abs(ys - y).max(), np.abs(xs - x).max())) if len(ys) else 0


def _solidity(mask: BoolArray) -> float:
    """Return the share of its convex hull that an area fills, [0, 1]."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return float(mask.sum() / hull.sum())


def _next_ring(lab: ByteArray, region: BoolArray, step: int, share: float) -> BoolArray | None:
    """Return the flat-coloured area around a region, or None when its surroundings have no one colour."""
    ring = _dilate(region, 6) & ~_dilate(region, 3)
    colours = lab[ring].astype(np.int16)
    if len(colours) < 12:
        return None
    alike = (np.abs(colours - np.median(colours, axis=0)) <= 3 * step).all(axis=1)
    if alike.mean() < share:
        return None
    seeds = np.zeros_like(ring)
    seeds[tuple(np.argwhere(ring)[alike][:: max(1, int(alike.sum()) // 16)].T)] = True
    return _flood(lab, seeds, step)


def find_support(
    lab_HW3: ByteArray,
    x: float,
    y: float,
    *,
    step: int,
    share: float,
    max_radius: int,
    min_solidity: float,
    patch_radius: int,
) -> Support:
    """Find what belongs to a point: nested flat areas while they stay bounded, else a square patch.

    A disc inside a square inside a background gives the square: the disc is flooded first, the
    ring around it has one colour, so that is flooded too; the ring after that floods the
    background, which reaches too far, so the search ends.

    Args:
        lab_HW3: uint8 Lab of frame 0.
        x, y: the point, pixels.
        step: largest colour step between neighbours inside a flat area, 8-bit units per channel.
        share: part of the ring around an area that must have one colour for the area to grow.
        max_radius: an area reaching farther from the point than this is background, pixels.
        min_solidity: an area filling less of its convex hull is an accident of texture.
        patch_radius: half side of the square patch, pixels; areas smaller than it are ignored.
    """
    height, width = lab_HW3.shape[:2]
    cx, cy = min(max(round(x), 0), width - 1), min(max(round(y), 0), height - 1)
    margin = max_radius + 8
    top, left = max(0, cy - margin), max(0, cx - margin)
    window = np.ascontiguousarray(cv2.medianBlur(lab_HW3[top : cy + margin + 1, left : cx + margin + 1], 3))
    seed = np.zeros(window.shape[:2], bool)
    seed[cy - top, cx - left] = True
    best: BoolArray | None = None
    grown: BoolArray | None = _flood(window, seed, step)
    for _ in range(4):
        if grown is None or _reach(grown, cx - left, cy - top) > max_radius:
            break
        whole = _fill_gaps(grown if best is None else (best | grown))
        if _reach(whole, cx - left, cy - top) > max_radius or _solidity(whole) < min_solidity:
            break
        best = whole
        grown = _next_ring(window, best, step, share)
    mask = np.zeros((height, width), bool)
    if best is not None and np.sqrt(best.sum()) > 1.4 * patch_radius:
        mask[top : top + best.shape[0], left : left + best.shape[1]] = best
        return Support(mask, "region")
    mask[
        max(0, cy - patch_radius) : cy + patch_radius + 1, max(0, cx - patch_radius) : cx + patch_radius + 1
    ] = True
    return Support(mask, "patch")


def _fill_gaps(mask: BoolArray) -> BoolArray:
    """Close the anti-aliased seam between nested areas and fill what they enclose."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 8, 8, 8, 8, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _CROSS, iterations=4)
    outside = closed.copy()
    cv2.floodFill(outside, None, (0, 0), 2)
    return np.asarray(outside != 2)[8:-8, 8:-8]


@dataclass(frozen=True)
class Template:
    """A point's look at one scale, ready to be aligned with later frames.

    Attributes:
        scale: reduction factor of the picture it is compared with.
        left, top: position of its first pixel in frame 0, reduced pixels.
        lab_HW3: float32 colours.
        weight_HW: float32 weight of each pixel in the agreement (sums to 1), object only.
        correlation_HW: float32 weight in the correlation; includes a thin rim of surroundings,
            without which a one-coloured object has no structure.
        points_K2: float32 full-resolution corners of frame 0 for optical flow.
        flat_HW: float32 share of each pixel in the object's colours, edges left out (sums to 1).
        texture: smaller eigenvalue of the mean structure tensor, (8-bit units / pixel)^2.
        is_square: whether it is a square of pixels, not an object with an outline.
    """

    scale: int
    left: int
    top: int
    lab_HW3: Floats
    weight_HW: Floats
    correlation_HW: Floats
    points_K2: Floats
    flat_HW: Floats
    texture: float
    is_square: bool
    gradient_x_HW3: Floats = field(repr=False)
    gradient_y_HW3: Floats = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, reduced pixels."""
        return self.lab_HW3.shape[0], self.lab_HW3.shape[1]

    def recoloured(self, gain_3: Floats, bias_3: Floats) -> Template:
        """Return the same look under another exposure: `gain * colour + bias` per channel."""
        if (gain_3 == 1).all() and (bias_3 == 0).all():
            return self
        return replace(
            self,
            lab_HW3=self.lab_HW3 * gain_3 + bias_3,
            gradient_x_HW3=self.gradient_x_HW3 * gain_3,
            gradient_y_HW3=self.gradient_y_HW3 * gain_3,
        )


def build_template(view: FrameView, support: Support, *, scale: int, rim: int, num_points: int) -> Template:
    """Cut a template out of frame 0.

    Args:
        view: frame 0.
        support: pixels that belong to the point.
        scale: reduction factor, >= 1.
        rim: width of the surroundings taken along, reduced pixels.
        num_points: at most this many corners for optical flow.
    """
    lab = view.lab(scale)
    part = support.mask_HW.astype(np.float32)
    if scale > 1:
        below, right = -view.height % scale, -view.width % scale
        part = cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REPLICATE)
        part = cv2.resize(part, (lab.shape[1], lab.shape[0]), interpolation=cv2.INTER_AREA)
    wide = _dilate(part > 0, rim) if support.kind == "region" else part > 0
    ys, xs = np.nonzero(wide)
    top, left, bottom, right = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
    inner = np.asarray(part[top:bottom, left:right], np.float32)
    # gradients come from the padded picture, so that the template's own border is exact
    around = cv2.copyMakeBorder(lab, 1, 1, 1, 1, cv2.BORDER_REPLICATE).astype(np.float32)
    grad_x, grad_y = gradients(around[top : bottom + 2, left : right + 2])
    strength = np.sqrt((grad_x**2 + grad_y**2).sum(axis=-1)) * inner
    texture = _texture(grad_x, grad_y, inner)
    # half of the say goes to edges: a flat body alone would agree with anything of its colour
    weight = inner / inner.sum()
    if strength.sum() > 0:
        weight = 0.5 * weight + 0.5 * strength / strength.sum()
    flat = inner / (1.0 + np.square(strength / 6.0))
    rim_weight = np.where(wide[top:bottom, left:right], np.float32(0.3), np.float32(0.0))
    return Template(
        scale=scale,
        left=left,
        top=top,
        lab_HW3=lab[top:bottom, left:right].astype(np.float32),
        weight_HW=np.asarray(weight, np.float32),
        correlation_HW=np.ascontiguousarray(np.maximum(inner, rim_weight), np.float32),
        points_K2=_corners(view.grey_HW, support, num_points),
        flat_HW=np.asarray(flat / flat.sum(), np.float32),
        texture=texture,
        is_square=support.kind == "patch",
        gradient_x_HW3=grad_x,
        gradient_y_HW3=grad_y,
    )


def gradients(around_HW3: Floats) -> tuple[Floats, Floats]:
    """Return the central differences along x and y of a float32 picture, without its outermost pixels."""
    grad_x = 0.5 * (around_HW3[1:-1, 2:] - around_HW3[1:-1, :-2])
    grad_y = 0.5 * (around_HW3[2:, 1:-1] - around_HW3[:-2, 1:-1])
    return grad_x, grad_y


def _texture(grad_x: Floats, grad_y: Floats, inner: Floats) -> float:
    total = float(inner.sum())
    xx = float((inner * (grad_x**2).sum(-1)).sum()) / total
    yy = float((inner * (grad_y**2).sum(-1)).sum()) / total
    xy = float((inner * (grad_x * grad_y).sum(-1)).sum()) / total
    return float(0.5 * (xx + yy - np.hypot(xx - yy, 2 * xy)))


def _corners(grey: ByteArray, support: Support, num_points: int) -> Floats:
    found = cv2.goodFeaturesToTrack(
        grey, num_points, 0.02, 4, mask=_dilate(support.mask_HW, 1).astype(np.uint8) * 255, blockSize=5
    )
    return np.zeros((0, 2), np.float32) if found is None else np.asarray(found, np.float32).reshape(-1, 2)


def to_scale(points: npt.NDArray[Any], scale: int) -> FloatArray:
    """Map full-resolution pixels to reduced ones (pixel centres at integers in both)."""
    return np.asarray((points + 0.5) / scale - 0.5, np.float64)
