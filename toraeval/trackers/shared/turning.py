"""Growing and turning a template: the look of a point in frame 0, seen from nearer or farther, and turned.

An inverse-compositional Gauss-Newton step (Baker and Matthews, "Lucas-Kanade 20 Years On", IJCV 2004) for a similarity
says how the content of a found place has grown and turned against the template, which is then drawn again from the
picture of frame 0. It is always frame 0 that is drawn: errors do not add up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.trackers.shared.alignment import Fit
from toraeval.trackers.shared.anchoring import Anchoring, FollowedPoint
from toraeval.trackers.shared.frame_view import FrameView
from toraeval.trackers.shared.template import Floats, Template, gradients, to_scale
from toraeval.types import ByteArray, FloatArray

_EYE = np.eye(2)


@dataclass(frozen=True)
class Turning(Anchoring):
    """Options and rules of growing and turning what is looked for.

    Attributes:
        turn_below: places that correlate by this much are left as they are.
        turn_agreement: others are looked at where at least this share of the colours is met.
        turn_gain: gain in correlation for which a template is drawn anew.
        turn_rounds: steps per frame, at most.
        turn_step: largest growth (share) or angle (radians) of one step.
        turn_scale: largest growth, and its inverse the smallest.
        turn_wait: frames without another try after one that gained nothing.
    """

    turn_below: float = 0.99
    turn_agreement: float = 0.3
    turn_gain: float = 0.001
    turn_rounds: int = 2
    turn_step: float = 0.15
    turn_scale: float = 2.5
    turn_wait: int = 3

    def turned(self, point: FollowedPoint, fit: Fit, view: FrameView, first: ByteArray) -> Fit:
        """Return the place of a found point after growing and turning its template, where that fits better.

        Args:
            point: its template and `pose_22` are replaced.
            fit: where it was found.
            view: the frame.
            first: uint8 Lab of frame 0 at the scale of the template.
        """
        if point.turn_pause or fit.correlation >= self.turn_below or fit.agreement < self.turn_agreement:
            point.turn_pause = max(0, point.turn_pause - 1)
            return fit
        best = fit
        pivot = to_scale(point.query_2, point.template.scale)
        for _ in range(self.turn_rounds):
            shown = point.template.recoloured(point.gain_3, point.bias_3)
            step = similarity_step(shown, best, pivot)
            if step is None or np.abs(step).max() > self.turn_step:
                break
            pose = point.pose_22 @ (_EYE + np.array([[step[0], -step[1]], [step[1], step[0]]]))
            if not 1 / self.turn_scale < np.sqrt(abs(np.linalg.det(pose))) < self.turn_scale:
                break
            template = drawn(point.original, first, pivot, pose)
            again = self._refined(template.recoloured(point.gain_3, point.bias_3), view, best.shift)
            if again.correlation < best.correlation + self.turn_gain:
                break
            best, point.template, point.pose_22 = again, template, pose
        if best is fit:
            point.turn_pause = self.turn_wait
        return best


def similarity_step(template: Template, fit: Fit, pivot_2: FloatArray) -> FloatArray | None:
    """Return float64 (2,): growth and angle of the template against what was found, for small ones.

    Args:
        template: what was looked for.
        fit: where it was found.
        pivot_2: the point that it grows and turns about, reduced pixels of frame 0.

    Returns:
        None where the look does not tell them, as that of a disc.
    """
    height, width = template.shape
    x = (np.arange(width, dtype=np.float32) + np.float32(template.left - pivot_2[0]))[None, :, None]
    y = (np.arange(height, dtype=np.float32) + np.float32(template.top - pivot_2[1]))[:, None, None]
    gx, gy = template.gradient_x_HW3, template.gradient_y_HW3
    columns = np.stack([gx, gy, gx * x + gy * y, gy * x - gx * y]).reshape(4, -1)
    weights = np.repeat((fit.weights_HW * template.correlation_HW).reshape(-1), 3)
    weighted = columns * weights
    normal = (weighted @ columns.T).astype(np.float64)
    right = (weighted @ (fit.window_HW3 - template.lab_HW3).reshape(-1)).astype(np.float64)
    size = np.sqrt(np.diag(normal))
    if not (size > 0).all() or np.linalg.cond(normal / np.outer(size, size)) > 1e4:
        return None
    return np.asarray(np.linalg.solve(normal, right)[2:], np.float64)


def drawn(original: Template, first: ByteArray, pivot_2: FloatArray, pose_22: FloatArray) -> Template:
    """Return the template of frame 0 under a pose.

    Args:
        original: as cut out of frame 0.
        first: uint8 Lab of frame 0 at its scale.
        pivot_2: the point that stays where it is, reduced pixels of frame 0.
        pose_22: from an offset to the point in the template to that in frame 0.
    """
    height, width = original.shape
    corner = np.array([original.left, original.top])
    # what the frame shows around the template, with a margin for what a smaller picture takes in
    margin = max(height, width)
    low = np.maximum(corner - margin, 0)
    high = np.minimum(corner + np.array([width + margin, height + margin]), first.shape[1::-1])
    around = first[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    # one pixel more on every side, for the gradients at the border
    lab = _drawn(
        around, pose_22, corner - 1 - pivot_2, pivot_2 - low, (width + 2, height + 2), cv2.BORDER_REPLICATE
    )
    grad_x, grad_y = gradients(lab)
    made = replace(
        original, lab_HW3=np.ascontiguousarray(lab[1:-1, 1:-1]), gradient_x_HW3=grad_x, gradient_y_HW3=grad_y
    )
    if original.is_square:
        return made
    place = (pose_22, corner - pivot_2, pivot_2 - corner, (width, height), cv2.BORDER_CONSTANT)
    shapes = [np.maximum(_drawn(m, *place), 0) for m in (original.weight_HW, original.flat_HW)]
    if min(float(m.sum()) for m in shapes) <= 0:
        return made
    weight, flat = (m / m.sum() for m in shapes)
    seen = np.ascontiguousarray(np.clip(_drawn(original.correlation_HW, *place), 0, 1))
    return replace(made, weight_HW=weight, flat_HW=flat, correlation_HW=seen)


def _drawn(
    picture: Floats,
    pose_22: FloatArray,
    offset_2: npt.NDArray[Any],
    pivot_2: npt.NDArray[Any],
    size: tuple[int, int],
    border: int,
) -> Floats:
    """Return `picture[pivot + pose (pixel + offset)]` for every pixel."""
    matrix = np.column_stack([pose_22, pivot_2 + pose_22 @ offset_2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=border), np.float32)
