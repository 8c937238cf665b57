"""`dis_flow`: dense optical flow from frame to frame, chained; a second classical tracker for real texture.

DIS (dense inverse search) matches patches over a pyramid and smooths the result: it follows growing and turning
surfaces, which a fixed picture of frame 0 does not, but adds up its errors over time and slides onto whatever covers
the point. Kroeger et al., arXiv 1603.03590, as in OpenCV.

Shape legend: N points, T frames.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toraeval import geometry
from toraeval.allowed import check_option
from toraeval.trackers.shared.base import Tracker, check_queries
from toraeval.types import FloatArray, Tracks, UserError, Video

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
SMALLEST = 32  # pixels of the shorter side that the coarsest level of the pyramid needs


@dataclass(frozen=True)
class DISFlow(Tracker):
    """Chained DIS flow with a forward-backward check; needs OpenCV only.

    A point whose flow does not lead back, or that leaves the picture, is lost: it keeps its last place and is not
    visible from then on, because nothing ties a chain to frame 0 again. A frame equal to the one before repeats its
    result. Points are followed independently of each other.

    Attributes:
        preset: `ultrafast`, `fast` or `medium` of OpenCV.
        tolerance_px: largest distance between a point and where the flow back leads, pixels.
        tolerance_share: the same as a share of the flow's length, added.
    """

    name = "dis_flow"
    version = "1"

    preset: str = "medium"
    tolerance_px: float = 1.5
    tolerance_share: float = 0.15

    def __post_init__(self) -> None:
        check_option("tracker dis_flow", "preset", self.preset, PRESETS)

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version and every option."""
        return {"name": self.name, "version": self.version, **asdict(self)}

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow points through a clip.

        Args:
            video: uint8 RGB frames, 32 pixels and more per side.
            queries_N2: `(x, y)` pixels of frame 0.

        Returns:
            Tracks with confidence in [0, 1]: 1 where the flow leads back exactly, 0 where lost.

        Raises:
            UserError: a query is not a finite point inside the frame, or the video is too small.
        """
        queries = check_queries(video, queries_N2)
        if min(video.width, video.height) < SMALLEST:
            raise UserError(
                f"tracker dis_flow: frames of {video.width}x{video.height}; allowed: {SMALLEST} pixels a side and more"
            )
        flow = cv2.DISOpticalFlow_create(PRESETS[self.preset])
        tracks = np.repeat(queries[:, None], video.num_frames, axis=1)
        confidence = np.ones(tracks.shape[:2])
        alive = np.ones(len(queries), bool)
        frames = video.thwc
        grey = cv2.cvtColor(np.ascontiguousarray(frames[0]), cv2.COLOR_RGB2GRAY)
        for t in range(1, video.num_frames):
            tracks[:, t], confidence[:, t] = tracks[:, t - 1], confidence[:, t - 1]
            if np.array_equal(frames[t], frames[t - 1]):
                continue
            before, grey = grey, cv2.cvtColor(np.ascontiguousarray(frames[t]), cv2.COLOR_RGB2GRAY)
            if not alive.any():
                continue
            there, back = flow.calc(before, grey, None), flow.calc(grey, before, None)
            move = _at(there, tracks[:, t - 1])
            place = tracks[:, t - 1] + move
            error = np.linalg.norm(move + _at(back, place), axis=-1)
            allowed = self.tolerance_px + self.tolerance_share * np.linalg.norm(move, axis=-1)
            alive &= (error <= allowed) & geometry.inside_canvas(place, (video.width, video.height))
            tracks[alive, t] = place[alive]
            confidence[:, t] = np.where(alive, np.clip(1 - error / allowed, 0, 1), 0.0)
        # the first frame holds the queries themselves
        visible = confidence > 0
        info = {**self.fingerprint(), "opencv": cv2.__version__}
        return Tracks(tracks, visible, confidence, info)


def _at(flow_HW2: np.ndarray, points_N2: FloatArray) -> FloatArray:
    """Return float64 (N, 2): the flow between pixels, bilinear."""
    places = np.asarray(points_N2, np.float32)[None]
    found = cv2.remap(
        flow_HW2, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found[0], np.float64)
