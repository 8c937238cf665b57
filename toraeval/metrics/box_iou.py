"""Box IoU of position: overlap of the object's true box with the same box at the tracked point."""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.boxes import box_of, box_overlap, moved_box, reference_masks
from toraeval.metrics.shared.expectations import OVERLAP
from toraeval.metrics.shared.paths import EXCLUDED, LOST, PathMetric, Paths, per_object
from toraeval.types import Case


class BoxIoU(PathMetric):
    """Box IoU of position: overlap of the ground truth's box with itself, moved by the tracking error.

    With the box b of the visible pixels of object n in frame t of the ground truth, target g and tracked point p:

        box_iou = mean over cases of mean over n of mean over t in S_n of IoU(b, b + (p - g))

    Higher is better; range 0 (apart) to 1 (same place); a share. It reads `traj_error` in units of the object's
    size: the same error costs a small object more. The generated object's own outline does not enter, so that a
    faded or smeared object loses nothing as long as the tracker holds on; `mask_iou` and `mask_iou_box` look at the
    picture. Scored frames as in `traj_error`, less those in which no pixel of the object is visible. Suites without
    masks: a recorded skip.
    A frozen video scores as long as the path stays within an object's size of its start. MagicBench (arXiv
    2503.16421) reports a Box IoU with undisclosed segmentation; the box at the tracked point is our choice.
    """

    name = "box_iou"
    version = "1"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = "mean_case mean_object mean_frame IoU(b, b + p - g), b box of the true mask"
    excluded = (*EXCLUDED, "frames in which no pixel of the object is visible")
    lost_points = LOST
    columns = {"box_iou": "overlap of the true box with the same box moved by the tracking error"}
    source = "after Box IoU of MagicBench, arXiv 2503.16421, whose way of finding the object is not published"
    expected = {"box_iou": OVERLAP}

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return values and arrays `box_iou_NT`, NaN where not scored."""
        truth = reference_masks(self.name, case)
        if isinstance(truth, str):
            return truth
        masks = truth[1]
        overlap_NT = np.full(paths.counted_NT.shape, np.nan)
        for n, t in np.argwhere(paths.counted_NT):
            box = box_of(masks[n, t])
            if box is not None:
                shift = paths.tracked_NT2[n, t] - paths.target_NT2[n, t]
                overlap_NT[n, t] = box_overlap(box, moved_box(box, shift))
        if not np.isfinite(overlap_NT).any():
            return "nothing to score: every mask is empty"
        values = {"box_iou": per_object(overlap_NT)}
        return values, {"box_iou_NT": overlap_NT}
