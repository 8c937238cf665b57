"""Points followed through a video by one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toraeval.api.clips import as_video
from toraeval.metrics.shared.arrays import numbers
from toraeval.run.parts import Builder
from toraeval.trackers.shared.base import Tracker, check_queries
from toraeval.types import Tracks

TrackerChoice = str | Mapping[str, Any] | Tracker
"""A registered name, options with `name` among them, or a tracker that is built already."""


def build_tracker(choice: TrackerChoice) -> Tracker:
    """Return the tracker that is meant.

    Raises:
        UserError: an unknown name or option.
        MissingAsset: its weights or packages are absent.
    """
    if isinstance(choice, str):
        choice = {"name": choice}
    made: Tracker = Builder().build("tracker", choice) if isinstance(choice, Mapping) else choice
    return made


def track(video: Any, points: Any, tracker: TrackerChoice = "lucas_kanade") -> Tracks:
    """Follow points of the first frame through a video.

    Args:
        video: a `Video`, a file, a folder of pictures, or uint8 RGB (T, 3, H, W) or (T, H, W, 3), NumPy or torch.
        points: `(x, y)` pixels in frame 0, (N, 2) or (2,); pixel centres are whole numbers.
        tracker: a name of `python -m toraeval list trackers`, options such as `{"name": "lucas_kanade", "window": 21}`,
            or a tracker.

    Returns:
        `Tracks` with float64 `tracks_NT2` and bool `visible_NT`; a lost point keeps its last place.

    Raises:
        UserError: a video that cannot be read, or a point outside frame 0.
        MissingAsset: weights or packages of the tracker are absent.
    """
    clip = as_video(video)
    queries = numbers(points)
    queries = check_queries(clip, queries[None] if queries.ndim == 1 else queries)
    return build_tracker(tracker).track(clip, queries)
