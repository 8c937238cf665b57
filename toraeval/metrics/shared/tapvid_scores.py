"""The TAP-Vid point-tracking scores: position accuracy, Average Jaccard and occlusion accuracy.

Source: Doersch et al., "TAP-Vid", NeurIPS 2022 (arXiv 2211.03726), section 4; details as in
google-deepmind/tapnet, `tapnet/tapvid/evaluation_datasets.py::compute_tapvid_metrics`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toraeval import geometry
from toraeval.types import BoolArray, FloatArray, UserError

THRESHOLDS = (1, 2, 4, 8, 16)
RASTER = (256, 256)
MODES = ("first", "strided")
CONVENTIONS = ("tapnet", "cotracker")


def to_raster(points: npt.ArrayLike, size: tuple[int, int], convention: str = "tapnet") -> FloatArray:
    """Map points (..., 2) in pixels of a video to the 256 x 256 raster on which thresholds are defined.

    Args:
        points: `(x, y)` float pixels, pixel centres at integers.
        size: `(width, height)` of the video.
        convention: `tapnet` scales by 256 / width, which leaves thresholds proportional to the frame;
            `cotracker` scales by 255 / (width - 1), as that project's loader does. The two differ
            by up to 7 points of Average Jaccard, so the one used belongs in the result.

    Raises:
        UserError: an unknown convention, or a side below 1 pixel.
    """
    if convention not in CONVENTIONS:
        raise UserError(f"tapvid: scaling convention={convention!r}; allowed: {', '.join(CONVENTIONS)}")
    scale = geometry.tapnet_scale if convention == "tapnet" else geometry.cotracker_scale
    return scale(points, size, RASTER)


def evaluated_frames(query_frame_N: npt.ArrayLike, frames: int, mode: str = "first") -> BoolArray:
    """Return bool (N, `frames`): frames after the query (`first`), or all but the query (`strided`).

    Raises:
        UserError: an unknown mode, or a query frame outside the clip.
    """
    if mode not in MODES:
        raise UserError(f"tapvid: query mode={mode!r}; allowed: {', '.join(MODES)}")
    query = np.round(np.asarray(query_frame_N, dtype=np.float64))[:, None]  # half to even, as published
    if not ((query >= 0) & (query < frames)).all():
        raise UserError(f"tapvid: query frames {query[:, 0].tolist()}; allowed: 0..{frames - 1}")
    index = np.arange(frames)
    return np.asarray(index > query if mode == "first" else index != query)


def tapvid_metrics(
    query_frame_N: npt.ArrayLike,
    target_NT2: npt.ArrayLike,
    target_visible_NT: npt.ArrayLike,
    tracked_NT2: npt.ArrayLike,
    tracked_visible_NT: npt.ArrayLike,
    mode: str = "first",
) -> dict[str, float]:
    """Score one video's tracks by the TAP-Vid definitions; averages over videos are plain means of these.

    Args:
        query_frame_N: frame in which each point was given; rounded half to even.
        target_NT2, tracked_NT2: float pixels of the 256 x 256 raster, see `to_raster`.
        target_visible_NT, tracked_visible_NT: bool.
        mode: `first` (frames after the query) or `strided` (all frames but the query).

    Returns:
        Shares in [0, 1], NaN where nothing can be counted: `delta_avg` (mean of `within_1` ..
        `within_16`, visible targets nearer than that many pixels, strictly), `aj` (mean of `jaccard_1` ..
        `jaccard_16`), `oa` (frames whose visibility is predicted correctly).

    Raises:
        UserError: arrays that do not fit each other, coordinates that are not finite, an unknown mode.
    """
    target, tracked = np.asarray(target_NT2), np.asarray(tracked_NT2)
    seen, claimed = np.asarray(target_visible_NT, bool), np.asarray(tracked_visible_NT, bool)
    if target.ndim != 3 or target.shape[-1] != 2 or target.shape != tracked.shape:
        raise UserError(f"tapvid: tracks must both be (N, T, 2), got {target.shape} and {tracked.shape}")
    if (
        seen.shape != target.shape[:2]
        or claimed.shape != seen.shape
        or np.shape(query_frame_N) != seen.shape[:1]
    ):
        raise UserError(
            f"tapvid: visibility {seen.shape}, {claimed.shape} and query frames {np.shape(query_frame_N)} "
            f"do not fit tracks {target.shape}"
        )
    if not (np.isfinite(target).all() and np.isfinite(tracked).all()):
        raise UserError("tapvid: coordinates must be finite numbers")
    counted = evaluated_frames(query_frame_N, target.shape[1], mode)
    distance = np.square(target - tracked).sum(axis=-1)
    values = {"oa": _share((seen == claimed) & counted, int(counted.sum()))}
    visible = int((seen & counted).sum())
    for threshold in THRESHOLDS:
        near = (distance < threshold**2) & seen & counted
        hits = near & claimed
        false_alarms = int((claimed & counted & ~hits).sum())
        values[f"within_{threshold}"] = _share(near, visible)
        values[f"jaccard_{threshold}"] = _share(hits, visible + false_alarms)
    values["delta_avg"] = float(np.mean([values[f"within_{t}"] for t in THRESHOLDS]))
    values["aj"] = float(np.mean([values[f"jaccard_{t}"] for t in THRESHOLDS]))
    return values


def _share(part: BoolArray, whole: int) -> float:
    return int(part.sum()) / whole if whole else float("nan")
