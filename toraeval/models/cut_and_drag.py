"""The object's patch of the first frame moved along its path: the control that copied pixels give, untrained."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from toraeval import geometry
from toraeval.allowed import COUNT, Numbers, check_option
from toraeval.models.shared.base import Generator, need_first_frame
from toraeval.types import Case, FloatArray, Video


class CutAndDrag(Generator):
    """Cuts a disc around every start point, fills the holes by inpainting, and moves the discs along their paths.

    It knows nothing of the object but its start point, so a disc takes ground along or leaves a part of the object
    behind: good control, visible seams. A learned model with less control than this does not use its path well; one
    that looks no better than this makes no video. Objects whose target is hidden or outside in a frame are not drawn
    there; one that starts outside the picture is never drawn.

    Args:
        radius: of the disc, as a share of the shorter side, above 0 and at most 0.5.
        inpaint_radius: of the neighbourhood from which a hole's pixels are filled, pixels, >= 1.

    Raises:
        UserError: an option that cannot be.
    """

    name = "cut_and_drag"
    version = "1"

    def __init__(self, radius: float = 0.11, inpaint_radius: int = 5) -> None:
        check_option("model cut_and_drag", "radius", radius, Numbers(0, 0.5, above=True))
        check_option("model cut_and_drag", "inpaint_radius", inpaint_radius, COUNT)
        self.radius, self.inpaint_radius = radius, inpaint_radius

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version and options."""
        return {
            "model": self.name,
            "version": self.version,
            "radius": self.radius,
            "inpaint_radius": self.inpaint_radius,
        }

    def generate(self, case: Case, seed: int) -> Video:
        """Return the clip; `seed` changes nothing.

        Raises:
            UserError: the case has no first frame.
        """
        need_first_frame(self.name, case)
        first = np.ascontiguousarray(case.first_frame_HWC)
        paths = case.trajectories
        tracks, size = paths.tracks_NT2, (case.width, case.height)
        drawn = paths.visible_NT & geometry.inside_canvas(tracks, size)
        starts = [n for n in range(len(tracks)) if drawn[n, 0]]
        discs = {n: self._disc(tracks[n, 0], size) for n in starts}
        hole = np.zeros(first.shape[:2], np.uint8)
        for n in starts:
            hole |= (discs[n] > 0).astype(np.uint8)
        ground = cv2.inpaint(first, hole, self.inpaint_radius, cv2.INPAINT_TELEA) if starts else first
        frames = np.empty((case.frames, *first.shape), np.uint8)
        frames[0] = first
        for t in range(1, case.frames):
            frames[t] = ground
            for n in starts:
                if drawn[n, t]:
                    _paste(frames[t], first, discs[n], tracks[n, t] - tracks[n, 0])
        info = {"generated": case.frames, "length_mode": "exact", "objects_drawn": len(starts)}
        return Video.from_thwc(frames, case.fps, info)

    def _disc(self, centre_2: FloatArray, size: tuple[int, int]) -> np.ndarray:
        """Return float32 (H, W): 1 inside the disc, falling to 0 over one pixel."""
        columns, rows = (np.arange(n) for n in size)
        away = np.hypot(columns[None, :] - centre_2[0], rows[:, None] - centre_2[1])
        return np.clip(self.radius * min(size) + 0.5 - away, 0, 1).astype(np.float32)


def _paste(frame: np.ndarray, first: np.ndarray, disc: np.ndarray, move_2: FloatArray) -> None:
    """Draw the disc of the first frame, moved by `move_2` pixels, onto a frame."""
    matrix = np.array([[1.0, 0.0, move_2[0]], [0.0, 1.0, move_2[1]]])
    size = (frame.shape[1], frame.shape[0])
    cover = cv2.warpAffine(disc, matrix, size)
    rows, columns = (np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return
    where = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    # what lies below or right of the disc is not needed; a picture that began elsewhere could differ in the last bit
    reached = (int(columns[-1]) + 1, int(rows[-1]) + 1)
    moved = cv2.warpAffine(first, matrix, reached, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    share = cover[where][..., None]
    frame[where] = np.rint(frame[where] * (1 - share) + moved[where] * share)
