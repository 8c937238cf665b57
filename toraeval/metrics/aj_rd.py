"""AJ_RD: Average Jaccard after re-appearance, as TAPNext++ reports it."""

from __future__ import annotations

from toraeval.geometry import inside_canvas
from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import below
from toraeval.metrics.shared.paths import PathMetric, Paths
from toraeval.metrics.shared.redetection import LEAST_HIDDEN, redetection
from toraeval.metrics.shared.tapvid_scores import to_raster
from toraeval.types import Case


class AJRD(PathMetric):
    """Average Jaccard of a point from the frame in which it is seen again to the end of the clip.

    Only points that are hidden and come back count, and of these the re-appearances after a longer absence than all
    before on the same path. With d the distance in pixels of a 256x256 raster (x*256/width, y*256/height), V the
    target's visibility and C the tracker's, over the frames from re-appearance to the end:

        J_k   = |V and C and d <= k| / (|V| + |C and not (V and d <= k)|), k = 1, 2, 4, 8, 16
        aj_rd = mean over K of mean over events with at least K hidden frames of mean over k of J_k

    with K = 1, 4, 16, 64, 256, values of K without an event left out. Higher is better; range 0 to 1 (perfect), no
    unit. Distances equal to the threshold count, unlike in `tapvid`. Targets off the picture count as hidden. A frozen
    video keeps the events that end near the start of the path.
    Source: google-deepmind/tapnet@c2cbab8, `tapnet/tapnextpp/metrics/aj_rd.py`.
    """

    name = "aj_rd"
    version = "1"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = "mean_K mean_(events hidden >= K) mean_k J_k, k = 1, 2, 4, 8, 16 px of 256x256, distance <= k"
    pooling = "all re-appearances of a case, then cases, with equal weight"
    excluded = (
        "points that never re-appear",
        "re-appearances after an absence no longer than an earlier one",
    )
    columns = {
        "aj_rd": "mean of the values below that exist",
        **{
            f"aj_rd_hidden_{least}": f"re-appearances after {least} or more hidden frames"
            for least in LEAST_HIDDEN
        },
    }
    expected = {"aj_rd": below("shift_32 < shift_8", "frozen")}
    source = "google-deepmind/tapnet, tapnet/tapnextpp/metrics/aj_rd.py"

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return the values, or why there are none."""
        visible = paths.target_visible_NT & inside_canvas(paths.target_NT2, paths.size)
        target, tracked = (to_raster(points, paths.size) for points in (paths.target_NT2, paths.tracked_NT2))
        values = redetection(target, visible, tracked, paths.seen_NT)
        if len(values) == 1:
            return "nothing to score: no target is hidden and seen again"
        return values, {}
