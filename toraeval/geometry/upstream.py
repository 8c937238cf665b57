"""The coordinate rules of upstream projects; each converter carries the name of its project.

Shape legend: P points of one object.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toraeval.geometry.paths import IntArray, check_canvas, resample_points
from toraeval.types import FloatArray, UserError

TORA_CANVAS = 256
DRAGNUWA_CANVAS = (576, 320)
DRAGNUWA_FRAMES = 14


def tora_pixels(points: npt.ArrayLike, width: int, height: int, canvas: int = TORA_CANVAS) -> IntArray:
    """Scale as Tora does, `int(W * x / 256)`: truncation toward zero, no half-pixel term (int64).

    Source: alibaba/Tora 9a23dce, `sat/utils/flow_utils.py::process_traj`.
    """
    points = np.asarray(points, dtype=np.float64)
    pixels: IntArray = (points * np.array([width, height]) / canvas).astype(np.int64)
    return pixels


def tora_read_points(points_P2: npt.ArrayLike, frames: int) -> FloatArray:
    """Thin a path as Tora's and MotionCtrl's file readers do: every `P // frames`-th point, then cut.

    The tail of the path is lost whenever P > frames; the benchmark's own `resample` never does that.
    Source: alibaba/Tora 9a23dce `sat/utils/flow_utils.py::read_points`, TencentARC/MotionCtrl 6242d55.
    """
    points = np.asarray(points_P2, dtype=np.float64)
    if len(points) > frames:
        points = points[:: len(points) // frames][:frames]
    return points


def tora_process_points(points_P2: npt.ArrayLike, frames: int) -> IntArray:
    """Bring a path to `frames` whole-pixel points as Tora's and MotionCtrl's `process_points` do (int64).

    Too many points: every `P // frames`-th, of which `frames` - 1 are kept, and the last. Too few: extra
    points are inserted evenly, the first segments getting one more, and truncated toward zero.
    Source: alibaba/Tora 9a23dce `sat/utils/flow_utils.py`, TencentARC/MotionCtrl 6242d55.

    Raises:
        UserError: fewer than two points (upstream answers with points outside its canvas and then crashes).
    """
    points = np.asarray(points_P2, dtype=np.float64)
    count = len(points)
    if count < 2:
        raise UserError(f"Tora's point rule needs at least 2 points; got {count}")
    if count >= frames:
        kept = np.concatenate([points[:: count // frames][: frames - 1], points[-1:]])
        return kept.astype(np.int64)
    share, rest = divmod(frames - count, count - 1)
    pieces: list[FloatArray] = []
    for segment in range(count - 1):
        extra = share + (segment < rest)
        fraction = (np.arange(extra + 1) / (extra + 1))[:, None]
        pieces.append(points[segment] + fraction * (points[segment + 1] - points[segment]))
    pieces.append(points[-1:])
    return np.concatenate(pieces).astype(np.int64)


def tora_path(points_P2: npt.ArrayLike, frames: int, width: int, height: int) -> IntArray:
    """Path that Tora's own loader feeds its model: read, process, scale; int64 (`frames`, 2) pixels."""
    return tora_pixels(tora_process_points(tora_read_points(points_P2, frames), frames), width, height)


def motionctrl_path(points_P2: npt.ArrayLike, frames: int = 16) -> IntArray:
    """Path that MotionCtrl's loader feeds its model: int64 (`frames`, 2) on its own 256 x 256 canvas."""
    return tora_process_points(tora_read_points(points_P2, frames), frames)


def dragnuwa_path(points_P2: npt.ArrayLike, frames: int = DRAGNUWA_FRAMES) -> FloatArray:
    """Resample a drag as DragNUWA 1.5 does: monotone cubic over the index, float64 (`frames`, 2).

    A single point (x, y) becomes the drag to (x + 1, y + 1). Source: bensonbs/DragNUWA-Fork 428bf91.
    """
    points = np.atleast_2d(np.asarray(points_P2, dtype=np.float64))
    if len(points) == 1:
        points = np.concatenate([points, points + 1.0])
    return resample_points(points, frames, "pchip")[0]


def cotracker_scale(points: npt.ArrayLike, source: tuple[int, int], target: tuple[int, int]) -> FloatArray:
    """Scale points (..., 2) by (W - 1) / (w - 1), as co-tracker does: centres of corner pixels coincide."""
    check_canvas(source)
    check_canvas(target)
    # A side of one pixel has no length between centres; its only centre is 0 anyway.
    lengths = np.maximum(np.asarray(source) - 1.0, 1.0)
    scaled: FloatArray = np.asarray(points, dtype=np.float64) * (np.asarray(target) - 1.0) / lengths
    return scaled


def tapnet_scale(points: npt.ArrayLike, source: tuple[int, int], target: tuple[int, int]) -> FloatArray:
    """Scale points (..., 2) by W / w, as tapnet does: its pixel centres lie at half-integers."""
    check_canvas(source)
    check_canvas(target)
    scaled: FloatArray = np.asarray(points, dtype=np.float64) * np.asarray(target) / np.asarray(source)
    return scaled
