"""Trajectory to motion picture: points -> sparse flow -> Gaussian blur -> colour code.

The steps and constants are those of Tora's release (alibaba/Tora 9a23dce,
`diffusers-version/tora/traj_utils.py`, Apache-2.0), reimplemented from their description.
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

from toraeval import geometry
from toraeval.allowed import check_option
from toraeval.models.shared.flow_colour import Float32Array as Float32Array
from toraeval.models.shared.flow_colour import flow_colours as flow_colours
from toraeval.models.shared.flow_colour import flow_video
from toraeval.types import BoolArray, ByteArray, Case, FloatArray, UserError

IntArray = npt.NDArray[np.int64]
Patch = tuple[int, int, int, ByteArray]  # frame, top, left, uint8 (h, w, 3)

KERNEL_SIZE = 99
KERNEL_SIGMA = 10.0
# beyond the picture: mirrored without its last row as Tora does in inference, or zero as it does in training
BORDERS = {"mirror": cv2.BORDER_REFLECT_101, "zero": cv2.BORDER_CONSTANT}
_REACH = KERNEL_SIZE // 2


@lru_cache(maxsize=2)
def blur_kernel(normalise: str = "centre") -> Float32Array:
    """Return the float32 (99, 99) Gaussian, sigma 10 px.

    Args:
        normalise: `centre`, whose centre is 1 (Tora), or `sum`, whose sum is 1
            (TencentARC/MotionCtrl 6242d55, `gradio_utils/traj_utils.py`).

    Raises:
        UserError: another name.
    """
    if normalise not in ("centre", "sum"):
        raise UserError(f"trajectory: normalise='{normalise}'; allowed: centre, sum")
    line = np.arange(KERNEL_SIZE, dtype=np.float64) - _REACH
    square = line[:, None] ** 2 + line[None, :] ** 2
    kernel = np.exp(-0.5 * square / KERNEL_SIGMA**2)
    if normalise == "sum":
        kernel /= kernel.sum()
    return kernel.astype(np.float32)


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


def clipped_points(tracks_NT2: FloatArray, width: int, height: int) -> int:
    """Return how many positions `integer_points` moves onto the picture because they lie outside it."""
    points = np.trunc(tracks_NT2)
    return int(((points < 0) | (points > np.array([width - 1, height - 1]))).any(-1).sum())


def all_tracks(case: Case, canvas: tuple[int, int] | None = None) -> FloatArray:
    """Return the paths of objects and then of the camera, (N, T, 2) in pixels of a `(width, height)` canvas.

    Without a canvas they stay on that of the case.
    """
    given = [case.trajectories] if case.camera is None else [case.trajectories, case.camera]
    if canvas is not None and canvas != (case.width, case.height):
        given = [geometry.to_canvas(paths, *canvas) for paths in given]
    return np.concatenate([paths.tracks_NT2 for paths in given])


def sparse_flow(
    points_NT2: IntArray,
    width: int,
    height: int,
    visible_NT: BoolArray | None = None,
    outside: str = "refuse",
) -> Float32Array:
    """Write each displacement at its source pixel, in the later frame; frame 0 stays zero.

    Args:
        points_NT2: int pixels.
        width, height: canvas in pixels.
        visible_NT: where False the point is unknown at that moment, and the steps to and from it are left out.
        outside: `refuse`, or `skip` the steps whose source lies outside the canvas as Tora's training does
            (alibaba/Tora 9a23dce, `sat/train_video.py::get_flow_from_points`).

    Returns:
        float32 (T, H, W, 2), `(dx, dy)` in pixels; a later object overwrites an earlier one.

    Raises:
        UserError: a source point outside the canvas under `refuse`, or an unknown word for `outside`.
    """
    points = np.asarray(points_NT2)
    known = np.ones(points.shape[:2], bool) if visible_NT is None else np.asarray(visible_NT)
    steps = known[:, :-1] & known[:, 1:]
    if outside == "skip":
        sources = points[:, :-1]
        steps = steps & ((sources >= 0) & (sources < np.array([width, height]))).all(-1)
    elif outside == "refuse":
        check_sources(points, width, height, steps)
    else:
        raise UserError(f"trajectory: outside='{outside}'; allowed: refuse, skip")
    flow = np.zeros((points.shape[1], height, width, 2), np.float32)
    for path, kept in zip(points, steps, strict=True):
        t = np.flatnonzero(kept)
        flow[t + 1, path[t, 1], path[t, 0]] = path[t + 1] - path[t]
    return flow


def check_sources(points: IntArray, width: int, height: int, steps_NT: BoolArray | None = None) -> None:
    """Refuse source points outside the canvas; `steps_NT` (N, T - 1) says which steps count, by default all.

    Raises:
        UserError: it names the first such point.
    """
    sources = points[:, :-1]
    beyond = ((sources < 0) | (sources >= np.array([width, height]))).any(-1)
    outside = np.argwhere(beyond if steps_NT is None else beyond & steps_NT)
    if len(outside):
        n, t = outside[0]
        x, y = points[n, t]
        raise UserError(
            f"trajectory: point ({x}, {y}) of object {n} at frame {t} lies outside the {width}x{height} canvas; "
            f"allowed: 0 <= x < {width}, 0 <= y < {height}"
        )


def blur_flow(flow_THW2: Float32Array, border: str = "mirror", normalise: str = "centre") -> Float32Array:
    """Filter frames 1.. with `blur_kernel` (correlation); frame 0 is left alone.

    Args:
        flow_THW2: float32, pixels.
        border: one of `BORDERS`.
        normalise: see `blur_kernel`.

    Raises:
        UserError: an unknown word.
    """
    check_option("trajectory", "border", border, BORDERS)
    out = flow_THW2.copy()
    for t in range(1, len(out)):
        out[t] = cv2.filter2D(out[t], -1, blur_kernel(normalise), borderType=BORDERS[border])
    return out


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
    check_sources(np.asarray(points_NT2), width, height)
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
        boxes = [
            (max(0, x - _REACH), max(0, y - _REACH), min(width, x + _REACH + 1), min(height, y + _REACH + 1))
            for x, y in moving
        ]
        for x0, y0, x1, y1 in _merge_boxes(boxes):
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
