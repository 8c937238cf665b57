"""Trajectory to motion picture: points -> sparse flow -> Gaussian blur -> colour code.

The steps and constants are those of Tora's release (alibaba/Tora 9a23dce,
`diffusers-version/tora/traj_utils.py`, Apache-2.0), written anew from their description.
Two routes give the same picture: `method="opencv"` filters whole frames as upstream does,
`method="window"` draws each Gaussian where it falls (flow within 1e-5 px of the former)
and is what makes 129 frames affordable on a CPU.

Shape legend: N objects, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.types import ByteArray, FloatArray, UserError

IntArray = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Patch = tuple[int, int, int, ByteArray]  # frame, top, left, uint8 (h, w, 3)

KERNEL_SIZE = 99
KERNEL_SIGMA = 10.0
_REACH = KERNEL_SIZE // 2


@lru_cache(maxsize=1)
def blur_kernel() -> Float32Array:
    """Return the float32 (99, 99) Gaussian, sigma 10 px, whose centre is 1."""
    line = np.arange(KERNEL_SIZE, dtype=np.float64) - _REACH
    square = line[:, None] ** 2 + line[None, :] ** 2
    return np.exp(-0.5 * square / KERNEL_SIGMA**2).astype(np.float32)


@lru_cache(maxsize=1)
def colour_wheel() -> ByteArray:
    """Return the uint8 (55, 3) Middlebury colour wheel (Baker et al., ICCV 2007)."""
    # (steps, rising or falling channel, channel that stays at 255, rising?)
    arcs = (
        (15, 1, 0, True),
        (6, 0, 1, False),
        (4, 2, 1, True),
        (11, 1, 2, False),
        (13, 0, 2, True),
        (6, 2, 0, False),
    )
    rows = []
    for steps, moving, full, rising in arcs:
        arc = np.zeros((steps, 3))
        ramp = np.floor(255 * np.arange(steps) / steps)
        arc[:, full] = 255
        arc[:, moving] = ramp if rising else 255 - ramp
        rows.append(arc)
    return np.concatenate(rows).astype(np.uint8)


def integer_points(tracks_NT2: FloatArray, width: int, height: int) -> IntArray:
    """Truncate float positions to the integer pixels that carry the flow, clipped to the picture.

    Args:
        tracks_NT2: `(x, y)` pixels of the (width, height) canvas.
        width, height: canvas in pixels.

    Returns:
        int64 (N, T, 2).
    """
    limits = np.array([width - 1, height - 1])
    return np.clip(np.trunc(tracks_NT2), 0, limits).astype(np.int64)


def sparse_flow(points_NT2: IntArray, width: int, height: int) -> Float32Array:
    """Write each displacement at its source pixel, in the later frame; frame 0 stays zero.

    Returns:
        float32 (T, H, W, 2), `(dx, dy)` in pixels; a later object overwrites an earlier one.

    Raises:
        UserError: when a source point lies outside the canvas.
    """
    points = np.asarray(points_NT2)
    _check_sources(points, width, height)
    flow = np.zeros((points.shape[1], height, width, 2), np.float32)
    frames = np.arange(1, points.shape[1])
    for path in points:
        flow[frames, path[:-1, 1], path[:-1, 0]] = np.diff(path, axis=0)
    return flow


def _check_sources(points: IntArray, width: int, height: int) -> None:
    sources = points[:, :-1]
    outside = np.argwhere(((sources < 0) | (sources >= np.array([width, height]))).any(-1))
    if len(outside):
        n, t = outside[0]
        x, y = points[n, t]
        raise UserError(
            f"trajectory: point ({x}, {y}) of object {n} at frame {t} lies outside the {width}x{height} canvas; "
            f"allowed: 0 <= x < {width}, 0 <= y < {height}"
        )


def blur_flow(flow_THW2: Float32Array) -> Float32Array:
    """Filter frames 1.. with `blur_kernel` (correlation, border reflect-101); frame 0 is left alone."""
    out = flow_THW2.copy()
    for t in range(1, len(out)):
        out[t] = cv2.filter2D(out[t], -1, blur_kernel())
    return out


def flow_colours(flow: Float32Array, max_radius: float) -> ByteArray:
    """Colour-code flow vectors: hue is the direction, paleness the missing magnitude, white is rest.

    Args:
        flow: float32 (..., 2) in pixels.
        max_radius: magnitude in pixels that gets the full colour (the maximum of the clip).

    Returns:
        uint8 (..., 3) RGB. Same numbers as torchvision 0.29 `flow_to_image`.
    """
    scaled = flow / np.float32(np.float32(max_radius) + np.finfo(np.float32).eps)
    u, v = scaled[..., 0], scaled[..., 1]
    radius = np.sqrt(u * u + v * v)[..., None]
    turn = np.arctan2(-v, -u) / np.float32(np.pi)
    place = (turn + 1) / np.float32(2) * np.float32(54)
    low = np.floor(place).astype(np.int64)
    part = (place - low.astype(np.float32))[..., None]
    wheel = colour_wheel().astype(np.float32) / np.float32(255)
    colour = (1 - part) * wheel[low] + part * wheel[np.where(low + 1 == 55, 0, low + 1)]
    levels = np.floor(255 * (1 - radius * (1 - colour)))
    # the peak may be one rounding below 0 and wraps to 255, as in torchvision; int16 makes that so on every machine
    return levels.astype(np.int16).astype(np.uint8)


def flow_video(flow_THW2: Float32Array, max_radius: float | None = None) -> ByteArray:
    """Colour-code a whole clip with one normaliser, by default its largest magnitude; uint8 (T, H, W, 3)."""
    if max_radius is None:
        max_radius = float(np.sqrt((flow_THW2**2).sum(-1)).max())
    return np.stack([flow_colours(frame, max_radius) for frame in flow_THW2])


def trajectory_video(points_NT2: IntArray, width: int, height: int, method: str = "window") -> ByteArray:
    """Draw integer trajectories as the motion picture that the model sees.

    Args:
        points_NT2: int pixels inside the canvas.
        width, height: canvas in pixels.
        method: `window` (fast) or `opencv` (upstream's whole-frame filter).

    Returns:
        uint8 (T, H, W, 3); white where nothing moves.

    Raises:
        UserError: for a point outside the canvas or an unknown method.
    """
    if method == "opencv":
        return flow_video(blur_flow(sparse_flow(points_NT2, width, height)))
    if method != "window":
        raise UserError(f"trajectory: unknown blur method '{method}'; allowed: window, opencv")
    video = np.full((points_NT2.shape[1], height, width, 3), 255, np.uint8)
    for t, top, left, patch in trajectory_patches(points_NT2, width, height):
        video[t, top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return video


def trajectory_patches(points_NT2: IntArray, width: int, height: int) -> Iterator[Patch]:
    """Yield the parts of `trajectory_video` that are not white, as disjoint patches per frame.

    Raises:
        UserError: for a point outside the canvas.
    """
    _check_sources(np.asarray(points_NT2), width, height)
    pieces = list(flow_patches(points_NT2, width, height))
    if not pieces:
        return
    max_radius = max(float(np.sqrt((flow**2).sum(-1)).max()) for *_, flow in pieces)
    for t, top, left, flow in pieces:
        yield t, top, left, flow_colours(flow, max_radius)


def flow_patches(
    points_NT2: IntArray, width: int, height: int
) -> Iterator[tuple[int, int, int, Float32Array]]:
    """Yield (frame, top, left, flow (h, w, 2)) for the parts of the blurred flow that are not zero, frame by frame."""
    for t in range(1, points_NT2.shape[1]):
        sources: dict[tuple[int, int], IntArray] = {}
        for path in points_NT2:
            sources[int(path[t - 1, 0]), int(path[t - 1, 1])] = path[t] - path[t - 1]
        moving = {xy: d for xy, d in sources.items() if d.any()}
        mirrored = [
            (mx, my, d)
            for (x, y), d in moving.items()
            for mx in _mirrors(x, width)
            for my in _mirrors(y, height)
        ]
        for x0, y0, x1, y1 in _merge_boxes([_box(x, y, width, height) for x, y in moving]):
            flow = np.zeros((y1 - y0, x1 - x0, 2), np.float32)
            for x, y, d in mirrored:
                _add_gaussian(flow, x - x0, y - y0, d)
            yield t, y0, x0, flow


def _mirrors(x: int, size: int) -> list[int]:
    # reflect-101: the pixel next to the border is seen again on its other side, the border pixel itself is not
    period = 2 * (size - 1)
    if period == 0:
        return list(range(x - _REACH, x + _REACH + 1))
    turns = range(-(_REACH // period) - 1, _REACH // period + 2)
    images = {s * x + period * k for k in turns for s in (1, -1)}
    return [x, *sorted(m for m in images if m != x and -_REACH <= m < size + _REACH)]


def _box(x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
    return max(0, x - _REACH), max(0, y - _REACH), min(width, x + _REACH + 1), min(height, y + _REACH + 1)


def _merge_boxes(boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    merged: list[tuple[int, int, int, int]] = []
    for box in boxes:
        while hit := next(
            (b for b in merged if box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3]), None
        ):
            merged.remove(hit)
            box = (min(box[0], hit[0]), min(box[1], hit[1]), max(box[2], hit[2]), max(box[3], hit[3]))
        merged.append(box)
    return merged


def _add_gaussian(flow: Float32Array, x: int, y: int, displacement: IntArray) -> None:
    height, width = flow.shape[:2]
    x0, x1 = max(0, x - _REACH), min(width, x + _REACH + 1)
    y0, y1 = max(0, y - _REACH), min(height, y + _REACH + 1)
    if x0 >= x1 or y0 >= y1:
        return
    kernel = blur_kernel()[y0 - y + _REACH : y1 - y + _REACH, x0 - x + _REACH : x1 - x + _REACH]
    flow[y0:y1, x0:x1] += kernel[..., None] * displacement.astype(np.float32)
