"""TAP-Vid scores of the tracked path, with the given path in the place of the ground truth."""

from __future__ import annotations

import numpy as np

from toraeval.geometry import inside_canvas
from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import OVERLAP
from toraeval.metrics.shared.paths import PathMetric, Paths
from toraeval.metrics.shared.readings import distances, offsets
from toraeval.metrics.shared.tapvid_scores import THRESHOLDS, tapvid_metrics, to_raster
from toraeval.types import Case

CONVENTION = "tapnet"


class TapVid(PathMetric):
    """TAP-Vid scores between given and tracked path: Average Jaccard, position accuracy, occlusion accuracy.

    Both paths are mapped to a 256x256 raster (x*256/width, y*256/height, tapnet's convention). With the
    thresholds k of 1, 2, 4, 8 and 16 raster pixels, compared strictly, over the frames after frame 0:

        tapvid_delta_avg = mean over k of |visible targets whose tracked point is nearer than k| / |visible targets|
        tapvid           = mean over k of TP_k / (|visible targets| + FP_k), the Average Jaccard, where a TP_k is
                           called visible by the tracker and nearer than k, an FP_k called visible and not a TP_k
        tapvid_oa        = share of frames in which target and tracker agree on being visible

    Higher is better; range 0 to 1 (perfect), no unit. All points of a case are pooled, then cases averaged, as in
    TAP-Vid; query mode `first` with the query in frame 0. Differences from `traj_error`: hidden targets count (in
    occlusion accuracy and false positives), and so does what the tracker calls visible. Objects whose target is
    hidden or off the picture in frame 0 are left out; targets off the picture count as not visible.
    A frozen video keeps the frames in which the target is still near its start. `tapvid_oa` says that the tracker
    sees something where the target should be seen, not that it is in the right place.
    Source: Doersch et al., arXiv 2211.03726; google-deepmind/tapnet, `tapnet/tapvid/evaluation_datasets.py`.
    """

    name = "tapvid"
    version = "1"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = "mean_k TP_k / (visible + FP_k), k = 1, 2, 4, 8, 16 px of 256x256, distance < k"
    pooling = "all points of a case, then cases, with equal weight"
    excluded = ("frame 0, the query frame", "objects whose target cannot be queried in frame 0")
    details = {"query_mode": "first", "scaling": CONVENTION}
    columns = {
        "tapvid": "Average Jaccard (AJ): mean of tapvid_jaccard_1 to tapvid_jaccard_16",
        "tapvid_delta_avg": "position accuracy: mean of tapvid_within_1 to tapvid_within_16",
        "tapvid_oa": "occlusion accuracy: share of frames whose visibility agrees",
        **{
            column: words
            for k in THRESHOLDS
            for column, words in (
                (f"tapvid_within_{k}", f"share of visible targets with the tracked point nearer than {k} px"),
                (f"tapvid_jaccard_{k}", f"TP / (visible targets + FP) at {k} px"),
            )
        },
    }
    source = "TAP-Vid, arXiv 2211.03726; google-deepmind/tapnet, tapnet/tapvid/evaluation_datasets.py"
    expected = {"tapvid": OVERLAP, "tapvid_delta_avg": OVERLAP}

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `errors_NT`, raster pixels, NaN where the target is not seen."""
        visible = paths.target_visible_NT & inside_canvas(paths.target_NT2, paths.size)
        asked = visible[:, 0]
        target = to_raster(paths.target_NT2, paths.size, CONVENTION)
        tracked = to_raster(paths.tracked_NT2, paths.size, CONVENTION)
        found = tapvid_metrics(
            np.zeros(int(asked.sum())), target[asked], visible[asked], tracked[asked], paths.seen_NT[asked]
        )
        values = {"tapvid": found.pop("aj")} | {f"tapvid_{name}": value for name, value in found.items()}
        error = distances(offsets(target, tracked), "l2")
        return values, {"errors_NT": np.where(paths.counted_NT, error, np.nan)}
