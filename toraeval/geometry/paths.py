"""Coordinates on a canvas, path resampling and frame alignment.

Convention: `(x, y)` float pixels, origin top-left, x right, y down, **pixel centres at integers**. A canvas
of width w covers x from -0.5 to w - 0.5, so a resize maps `x' = (x + 0.5) * W / w - 0.5`. Upstream projects
use other rules, see `toraeval.geometry.upstream`.

Shape legend: N objects, T moments or frames, P points of one object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from toraeval.types import BoolArray, FloatArray, Trajectories, UserError, counted

IntArray = npt.NDArray[np.int64]
RESAMPLING_RULES = ("index", "arc_length", "pchip")


# --- canvas -------------------------------------------------------------------------------------------------


def scale_points(points: npt.ArrayLike, source: tuple[int, int], target: tuple[int, int]) -> FloatArray:
    """Map points (..., 2) between canvases `(width, height)` with pixel centres at integers.

    Returns:
        float64 (..., 2) in pixels of `target`; the borders -0.5 and w - 0.5 map onto each other.

    Raises:
        UserError: a canvas side is below 1 pixel.
    """
    check_canvas(source)
    check_canvas(target)
    points = np.asarray(points, dtype=np.float64)
    if tuple(source) == tuple(target):
        return points.copy()
    ratio = np.asarray(target, dtype=np.float64) / np.asarray(source, dtype=np.float64)
    scaled: FloatArray = (points + 0.5) * ratio - 0.5
    return scaled


def to_canvas(trajectories: Trajectories, width: int, height: int) -> Trajectories:
    """Return the same paths in pixels of a `width` x `height` canvas; visibility and time are unchanged."""
    tracks = scale_points(trajectories.tracks_NT2, trajectories.canvas, (width, height))
    return replace(trajectories, tracks_NT2=tracks, canvas=(int(width), int(height)))


def inside_canvas(points: npt.ArrayLike, canvas: tuple[int, int]) -> BoolArray:
    """Tell for points (..., 2) whether they lie on the canvas: -0.5 <= x <= w - 0.5, and y alike."""
    points = np.asarray(points, dtype=np.float64)
    upper = np.asarray(canvas, dtype=np.float64) - 0.5
    return np.asarray(((points >= -0.5) & (points <= upper)).all(axis=-1), dtype=np.bool_)


@dataclass(frozen=True)
class CoverCrop:
    """Scale that covers the target and the centred crop after it, in pixels of the scaled image.

    Attributes:
        source: `(width, height)` before.
        scaled: `(width, height)` of the resized image, each side at least the target's.
        offset: `(left, top)` of the crop inside the resized image, whole pixels.
        target: `(width, height)` after.
    """

    source: tuple[int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]
    target: tuple[int, int]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """`(left, top, right, bottom)` as Pillow's `crop` takes it."""
        left, top = self.offset
        return left, top, left + self.target[0], top + self.target[1]

    def apply(self, points: npt.ArrayLike) -> FloatArray:
        """Map points (..., 2) from source pixels to target pixels (they may end up outside)."""
        moved: FloatArray = scale_points(points, self.source, self.scaled) - np.asarray(self.offset)
        return moved


def cover_crop(source: tuple[int, int], target: tuple[int, int]) -> CoverCrop:
    """Plan the smallest uniform resize of `source` that covers `target`, then a centre crop."""
    check_canvas(source)
    check_canvas(target)
    ratio = max(target[0] / source[0], target[1] / source[1])
    scaled = (max(target[0], round(source[0] * ratio)), max(target[1], round(source[1] * ratio)))
    offset = ((scaled[0] - target[0]) // 2, (scaled[1] - target[1]) // 2)
    return CoverCrop((source[0], source[1]), scaled, offset, (target[0], target[1]))


def check_canvas(canvas: tuple[int, int]) -> None:
    """Refuse a canvas that is not (width, height) in whole pixels.

    Raises:
        UserError: another number of entries, or a side below 1.
    """
    if len(canvas) != 2 or min(canvas) < 1:
        raise UserError(f"canvas: got {tuple(canvas)}; allowed are (width, height) of at least 1 pixel each")


# --- time ---------------------------------------------------------------------------------------------------


def resample(trajectories: Trajectories, frames: int, rule: str = "index") -> Trajectories:
    """Return the same paths at `frames` moments; every length describes the same geometry.

    Args:
        trajectories: paths with n moments.
        frames: number of moments wanted, at least 1 (1 keeps the start point).
        rule: `index` is linear interpolation, uniform over the point index (a pause stays a pause);
            `arc_length` is linear interpolation at constant speed along each path; `pchip` is DragNUWA's
            monotone cubic over the point index, without overshoot.

    Returns:
        Trajectories whose first and last points equal the given ones exactly; visibility is that of the
        nearest given moment (the earlier one when two are equally near). `fps` is kept: speed changes.

    Raises:
        UserError: `frames` is below 1 or the rule is unknown.
    """
    if frames < 1:
        raise UserError(f"frames={frames}: allowed are whole numbers >= 1")
    if rule not in RESAMPLING_RULES:
        raise UserError(f"resampling rule={rule!r}: allowed are {', '.join(RESAMPLING_RULES)}")
    tracks, visible = [], []
    for points, seen in zip(trajectories.tracks_NT2, trajectories.visible_NT, strict=True):
        resampled, positions = resample_points(points, frames, rule)
        tracks.append(resampled)
        visible.append(seen[np.ceil(positions - 0.5).astype(np.int64)])
    return replace(trajectories, tracks_NT2=np.stack(tracks), visible_NT=np.stack(visible))


def resample_points(
    points_P2: npt.ArrayLike, frames: int, rule: str = "index"
) -> tuple[FloatArray, FloatArray]:
    """Resample one path (P, 2) to (`frames`, 2); also return the fractional index (`frames`,) of each."""
    points = np.asarray(points_P2, dtype=np.float64)
    count = len(points)
    positions = np.linspace(0.0, count - 1.0, frames) if frames > 1 else np.zeros(1)
    if rule == "arc_length":
        lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        if lengths[-1] > 0:
            wanted = np.linspace(0.0, lengths[-1], frames) if frames > 1 else np.zeros(1)
            positions = np.interp(wanted, lengths, np.arange(count, dtype=np.float64))
    if rule == "pchip" and count > 1:
        from scipy.interpolate import PchipInterpolator

        curve = PchipInterpolator(np.arange(count), points, axis=0)
        resampled = np.asarray(curve(positions), dtype=np.float64)
    else:
        before = np.minimum(np.floor(positions).astype(np.int64), max(count - 2, 0))
        after = np.minimum(before + 1, count - 1)
        fraction = (positions - before)[:, None]
        resampled = points[before] + fraction * (points[after] - points[before])
    resampled[0] = points[0]
    if frames > 1:
        # Interpolation may miss the end by one rounding; the path's end is part of its geometry.
        resampled[-1] = points[-1]
        positions[-1] = count - 1.0
    return resampled, positions


def extend(trajectories: Trajectories, frames: int) -> Trajectories:
    """Hold the last point until `frames` moments are there, so that `cut` gives back the paths unchanged.

    A model that can only make 4k+1 frames is conditioned on this: frames 0..n-1 keep their exact target.

    Raises:
        UserError: `frames` is below the number of moments.
    """
    missing = frames - trajectories.num_frames
    if missing < 0:
        raise UserError(
            f"extend to {counted(frames, 'frame')}: allowed are {trajectories.num_frames} or more"
        )
    return replace(
        trajectories,
        tracks_NT2=extend_points(trajectories.tracks_NT2, frames),
        visible_NT=extend_points(trajectories.visible_NT, frames),
    )


def extend_points(values_NT: npt.NDArray[Any], frames: int) -> npt.NDArray[Any]:
    """Repeat the last moment of an array (N, T, ...) until it has `frames` >= T of them; see `extend`."""
    missing = frames - values_NT.shape[1]
    return np.concatenate([values_NT, np.repeat(values_NT[:, -1:], missing, axis=1)], axis=1)


def cut(trajectories: Trajectories, frames: int) -> Trajectories:
    """Keep the first `frames` moments.

    Raises:
        UserError: `frames` is outside 1..number of moments.
    """
    if not 1 <= frames <= trajectories.num_frames:
        raise UserError(f"cut to {counted(frames, 'frame')}: allowed are 1..{trajectories.num_frames}")
    return replace(
        trajectories,
        tracks_NT2=trajectories.tracks_NT2[:, :frames],
        visible_NT=trajectories.visible_NT[:, :frames],
    )


def native_frames(frames: int, stride: int = 4, first: int = 1) -> int:
    """Return the smallest `first + k * stride` that is at least `frames`: 16 -> 17, 64 -> 65, 128 -> 129."""
    if frames < 1:
        raise UserError(f"frames={frames}: allowed are whole numbers >= 1")
    return first + max(0, -(-(frames - first) // stride)) * stride


def windows(frames: int, length: int, overlap: int = 1) -> list[tuple[int, int]]:
    """Cut 0..frames into windows `(start, stop)` of at most `length` that share `overlap` frames.

    An autoregressive model makes one window after another, starting from the frames it shares with the last.
    16-frame windows with one shared frame reach 64 frames in five windows, the last one shorter.

    Raises:
        UserError: `overlap` is not in 0..length-1, or a count is below 1.
    """
    if frames < 1 or length < 1 or not 0 <= overlap < length:
        raise UserError(
            f"windows: frames={frames}, length={length}, overlap={overlap}; allowed: overlap in 0..length-1"
        )
    spans = [(0, min(length, frames))]
    while spans[-1][1] < frames:
        start = spans[-1][1] - overlap
        spans.append((start, min(start + length, frames)))
    return spans
