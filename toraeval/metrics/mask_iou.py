"""Mask IoU: overlap of the object in the generated clip with its mask in the ground truth."""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.boxes import box_of, box_overlap, reference_masks
from toraeval.metrics.shared.expectations import OVERLAP
from toraeval.metrics.shared.paths import EXCLUDED, LookMetric, Paths, per_object
from toraeval.metrics.shared.segmentation import ColourModel
from toraeval.types import BoolArray, Case, Video


class MaskIoU(LookMetric):
    """Mask IoU: overlap of the object found in the generated clip with its pixels in the ground truth.

    With the mask M of the visible pixels of object n in frame t of the ground truth, and G its pixels in the
    generated frame:

        mask_iou = mean over cases of mean over n of mean over t in S_n of |G and M| / |G or M|

    Higher is better; range 0 (apart, or not found) to 1 (same pixels); a share. `mask_iou_box` is the same for the
    boxes around G and M, `mask_iou_found` the share of scored frames in which anything is found. G is found again
    by colour: colours that are more frequent inside the object than outside it in the ground truth's first frame
    (bins of 8 levels, smoothed by 1.5 bins), within 1.6 times the object's reach around the tracked point, largest
    connected area, holes filled. This suits objects of few colours such as those of `shapes`; it stands in for the
    segmentation network of MagicBench, whose code is not published. An object that is not found scores 0 in that
    frame. Scored frames as in `traj_error`, less those in which no pixel of the object is visible; the first frame,
    which is given, never counts. Suites without masks: a recorded skip.
    A frozen video scores the overlap of the path's places with its start; a smeared or faded object is cut down to
    what still has its colours. Source: Mask IoU and Box IoU of MagicBench (MagicMotion, arXiv 2503.16421).
    """

    name = "mask_iou"
    version = "2"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = (
        "mean_case mean_object mean_frame |G and M| / |G or M|, G generated, M true pixels of the object"
    )
    excluded = (*EXCLUDED, "frames in which no pixel of the object is visible")
    details = {"segmentation": "colours of the first frame around the tracked point, see the class"}
    columns = {
        "mask_iou": "overlap of the object's pixels; 0 in frames in which it is not found",
        "mask_iou_box": "overlap of the boxes around these pixels",
        "mask_iou_found": "share of scored frames in which anything has the object's colours",
    }
    source = "MagicBench in MagicMotion, arXiv 2503.16421; how the object is found again is our choice"
    expected = {"mask_iou": (*OVERLAP, "vanished < ground_truth", "smeared < ground_truth")}

    def measure(self, case: Case, paths: Paths, video: Video) -> Found:
        """Return values and arrays `mask_iou_NT`, `box_iou_NT`, NaN where not scored."""
        truth = reference_masks(self.name, case)
        if isinstance(truth, str):
            return truth
        reference, masks = truth
        model = ColourModel(reference.video.thwc[0], masks[:, 0], paths.target_NT2[:, 0])
        mask_iou = np.full(paths.counted_NT.shape, np.nan)
        box_iou, found = mask_iou.copy(), mask_iou.copy()
        for n, t in np.argwhere(paths.counted_NT):
            if masks[n, t].any():
                corner, own = model.find(n, video.thwc[t], paths.tracked_NT2[n, t])
                mask_iou[n, t], box_iou[n, t] = _overlaps(masks[n, t], own, corner)
                found[n, t] = own.any()
        if not np.isfinite(mask_iou).any():
            return "nothing to score: every mask is empty"
        values = {
            "mask_iou": per_object(mask_iou),
            "mask_iou_box": per_object(box_iou),
            "mask_iou_found": per_object(found),
        }
        arrays = {"mask_iou_NT": mask_iou, "box_iou_NT": box_iou}
        return values, arrays


def _overlaps(true_HW: BoolArray, own_hw: BoolArray, corner: tuple[int, int]) -> tuple[float, float]:
    """Return mask and box overlap of a full mask with one inside a window at `(left, top)`; 0 if nothing is found."""
    own_box, true_box = box_of(own_hw, corner), box_of(true_HW)
    if own_box is None or true_box is None:
        return 0.0, 0.0
    left, top = corner
    height, width = own_hw.shape
    both = int((true_HW[top : top + height, left : left + width] & own_hw).sum())
    either = int(true_HW.sum()) + int(own_hw.sum()) - both
    return both / either, box_overlap(true_box, own_box)
