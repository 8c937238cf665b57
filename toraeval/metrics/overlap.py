"""Overlap of the object with its true pixels: boxes at the tracked point, masks of where its colours are found again.

Shape legend: N objects, T frames, H height, W width, B colour bins.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import OVERLAP, below
from toraeval.metrics.shared.paths import EXCLUDED, LOST, LookMetric, PathMetric, Paths, per_object
from toraeval.types import BoolArray, ByteArray, Case, FloatArray, Reference, UserError, Video

Box = tuple[float, float, float, float]
"""`(left, top, right, bottom)`, outer edges of the pixels: a single pixel at x covers x - 0.5 to x + 0.5."""


def reference_masks(metric: str, case: Case) -> tuple[Reference, BoolArray] | str:
    """Return the ground truth of a case with bool (N, T, H, W) masks, or the reason why it has none.

    Raises:
        UserError: the masks do not fit the case.
    """
    reference = case.reference() if case.reference is not None else None
    if reference is None or reference.masks is None:
        return f"no masks: suite {case.suite} has no object masks of its ground truth"
    masks = reference.masks()
    expected = (case.trajectories.num_objects, case.frames, case.height, case.width)
    if masks.shape != expected:
        raise UserError(
            f"{metric}: case {case.id} has masks {masks.shape}, expected {expected} "
            "(objects, frames, height, width)"
        )
    return reference, masks


def box_of(mask_HW: BoolArray, offset: tuple[int, int] = (0, 0)) -> Box | None:
    """Return the smallest box around a mask whose first pixel lies at `offset` `(x, y)`; None if it is empty."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not rows.size:
        return None
    left, top = offset
    return (
        left + columns[0] - 0.5,
        top + rows[0] - 0.5,
        left + columns[-1] + 0.5,
        top + rows[-1] + 0.5,
    )


def moved_box(box: Box, shift: FloatArray) -> Box:
    """Return a box moved by `(dx, dy)`."""
    dx, dy = float(shift[0]), float(shift[1])
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def box_overlap(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes with an area, 0 to 1."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


BIN = 8
BINS = 256 // BIN
SPREAD = 1.5
"""Standard deviation in colour bins by which a colour may wander and still count as the same."""

MIN_DENSITY = 1e-6
"""Colours rarer than this inside the object are not the object's, even if the rest has none of them."""

WINDOW = 1.6
"""The object is looked for around the tracked point as far as it reaches in the first frame, times this."""


class ColourModel:
    """Colours of each object against those of everything else, learnt from one picture with masks.

    A colour (8x8x8 levels per bin, densities smoothed by 1.5 bins) belongs to the object if it is more frequent in
    the object than in the rest of the picture. Unseen colours belong to nobody.

    Args:
        picture_HWC: uint8 RGB.
        masks_NHW: bool, the pixels of each object in it.
        points_N2: `(x, y)` pixels of each object's own point.
    """

    def __init__(self, picture_HWC: ByteArray, masks_NHW: BoolArray, points_N2: FloatArray) -> None:
        index_HW = _bins(picture_HWC)
        self.tables = [
            _density(index_HW[mask]) > np.maximum(_density(index_HW[~mask]), MIN_DENSITY)
            for mask in masks_NHW
        ]
        self.reaches = [_reach(mask, point) for mask, point in zip(masks_NHW, points_N2, strict=True)]

    def find(self, n: int, frame_HWC: ByteArray, point: FloatArray) -> tuple[tuple[int, int], BoolArray]:
        """Return object n around a tracked point: `(left, top)` of a window and bool (h, w) of its pixels.

        The window's largest connected area with the object's colours, holes filled; all False if there is none.
        """
        height, width = frame_HWC.shape[:2]
        reach = int(np.ceil(WINDOW * self.reaches[n]))
        x, y = np.rint(np.clip(point, -reach, [width + reach, height + reach])).astype(int)
        left, top = max(0, x - reach), max(0, y - reach)
        window = frame_HWC[top : max(top, y + reach + 1), left : max(left, x + reach + 1)]
        if not window.size:
            return (left, top), np.zeros(window.shape[:2], bool)
        alike = self.tables[n][_bins(window)].view(np.uint8)
        # two colours that meet have a seam of mixed ones between them
        alike = cv2.morphologyEx(alike, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(alike, connectivity=4)
        if count < 2:
            return (left, top), np.zeros(window.shape[:2], bool)
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        area = (labels == largest).astype(np.uint8)
        outline, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return (left, top), cv2.drawContours(area, outline, -1, 1, cv2.FILLED).astype(bool)


def _bins(picture_HWC: ByteArray) -> npt.NDArray[np.uint16]:
    small = (picture_HWC // BIN).astype(np.uint16)
    index: npt.NDArray[np.uint16] = (small[..., 0] * BINS + small[..., 1]) * BINS + small[..., 2]
    return index


def _density(index_K: npt.NDArray[np.uint16]) -> FloatArray:
    """Return the share of each colour, smoothed; zero everywhere when there is no pixel."""
    counts = np.bincount(index_K, minlength=BINS**3).reshape(BINS, BINS, BINS).astype(np.float64)
    smooth = ndimage.gaussian_filter(counts / max(1, index_K.size), SPREAD, mode="constant")
    return np.asarray(smooth.ravel())


def _reach(mask_HW: BoolArray, point: FloatArray) -> float:
    ys, xs = np.nonzero(mask_HW)
    return float(np.hypot(xs - point[0], ys - point[1]).max(initial=1.0))


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
    expected = {"mask_iou": (*OVERLAP, *below("vanished", "smeared"))}

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
