"""Re-detection after occlusion: how well a point is followed from the frame in which it is seen again.

Source: TAPNext++, google-deepmind/tapnet@c2cbab8, `tapnet/tapnextpp/metrics/aj_rd.py`.

Shape legend: N points, T frames, E re-appearances.
"""

from __future__ import annotations

import numpy as np

from toraeval.types import BoolArray, FloatArray

THRESHOLDS = (1, 2, 4, 8, 16)
LEAST_HIDDEN = (1, 4, 16, 64, 256)
"""Fewest hidden frames before a re-appearance, a value each."""


def redetection(
    target_NT2: FloatArray, visible_NT: BoolArray, tracked_NT2: FloatArray, claimed_NT: BoolArray
) -> dict[str, float]:
    """Return `aj_rd` and its parts `aj_rd_hidden_K`, shares in [0, 1], NaN where nothing re-appears.

    A re-appearance counts if it ends a longer absence than all before it on the same track. Its value is the Jaccard
    from that frame to the last one, with distances up to and including the threshold, meaned over thresholds; those
    after at least K hidden frames are meaned for each K, then these means.

    Args:
        target_NT2, tracked_NT2: pixels of the 256 x 256 raster.
        visible_NT, claimed_NT: whether the point is seen, and whether the tracker says so.
    """
    events = re_appearances(visible_NT)
    distance = np.linalg.norm(tracked_NT2 - target_NT2, axis=-1)
    hidden = np.array([length for _, _, length in events])
    scores = np.array(
        [
            [
                _jaccard(distance[n, start:] <= k, visible_NT[n, start:], claimed_NT[n, start:])
                for k in THRESHOLDS
            ]
            for n, start, _ in events
        ]
    )
    parts = {
        f"aj_rd_hidden_{least}": _mean([_mean(column) for column in scores[hidden >= least].T])
        for least in LEAST_HIDDEN
        if events
    }
    return {"aj_rd": _mean(list(parts.values())), **parts}


def re_appearances(visible_NT: BoolArray) -> list[tuple[int, int, int]]:
    """Return `(point, frame, hidden frames before it)` of every re-appearance that counts."""
    found = []
    for n, seen in enumerate(visible_NT):
        longest = hidden = 0
        for frame, visible in enumerate(seen):
            if visible and hidden > longest:
                found.append((n, frame, hidden))
                longest = hidden
            hidden = 0 if visible else hidden + 1
    return found


def _jaccard(near: BoolArray, seen: BoolArray, claimed: BoolArray) -> float:
    hits = int((near & seen & claimed).sum())
    false = int((claimed & ~(near & seen)).sum())
    return hits / (int(seen.sum()) + false)  # a re-appearance is seen, so this is never 0


def _mean(values: list[float] | FloatArray) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
