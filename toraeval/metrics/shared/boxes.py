"""Intersection over union of masks and boxes, and the object masks of a case's ground truth.

Shape legend: N objects, T frames, H height, W width.
"""

from __future__ import annotations

import numpy as np

from toraeval.types import BoolArray, Case, FloatArray, Reference, UserError

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
