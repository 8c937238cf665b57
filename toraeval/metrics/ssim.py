"""SSIM: how far the structure of the generated frames is that of the reference frames."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.metrics.shared.kinds import PictureMetric
from toraeval.metrics.shared.paths import definition_of
from toraeval.metrics.shared.reference import FRAMES_RULE
from toraeval.types import ByteArray, Case, Score, Tracks, Video

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


class SSIM(PictureMetric):
    """Structural similarity of the generated frames to the reference frames.

        ssim = mean over cases, frames, channels, places of
               (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

    m and s are means and (co)variances in a Gaussian window of 11x11 pixels, sigma 1.5; pixels in [0, 1], C1 = 0.01^2,
    C2 = 0.03^2; only places whose window lies inside the picture; the three channels of RGB alike. Higher is better; -1
    to 1, 1 for equal frames; no unit. Frame 0 is left out, because image-conditioned models are given it. At most
    `max_frames` frames are compared, evenly spread over the rest, last included.

    A frozen video agrees with the reference wherever nothing moves, which is most of the picture: it may well beat a
    model that moves. Read `motion_amount` and `traj_error` beside it. Cases without a reference clip, clips of one
    frame and pictures smaller than the window are recorded skips.

    Source: Wang et al., IEEE Transactions on Image Processing 13(4), 2004; per channel as in
    common_metrics_on_video_quality.

    Args:
        max_frames: most frames that are compared.

    Raises:
        UserError: `max_frames` below 1.
    """

    name: ClassVar[str] = "ssim"
    version: ClassVar[str] = "2"
    direction: ClassVar[str] = "higher"
    units: ClassVar[str] = ""

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Score one case; see `PictureMetric.score`."""
        if min(case.height, case.width) < WINDOW:
            reason = (
                f"pictures of {case.width}x{case.height} are smaller than the window of {WINDOW}x{WINDOW}"
            )
            return Score(self.name, self.version, skipped=reason)
        return super().score(case, tracks, video)

    def compare(self, frame_HWC: ByteArray, truth_HWC: ByteArray) -> float:
        """Return the similarity of two uint8 RGB frames of at least 11x11 pixels."""
        return ssim(frame_HWC, truth_HWC)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        return definition_of(
            self,
            formula="mean (2 m_x m_y + C1)(2 s_xy + C2) / ((m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2))",
            value_range="-1 to 1",
            columns={"ssim": "mean structural similarity to the reference frames"},
            source="Wang et al. 2004",
            pooling="places and channels of a frame, then frames of a case, then cases, with equal weight",
            window=f"Gaussian, {WINDOW}x{WINDOW}, sigma {SIGMA}, inside the picture only",
            frames=FRAMES_RULE.format(self.max_frames),
        )


def ssim(frame_HWC: ByteArray, truth_HWC: ByteArray) -> float:
    """Return the similarity of two uint8 RGB frames of at least 11x11 pixels."""
    x, y = (frame.astype(np.float32) / np.float32(255) for frame in (frame_HWC, truth_HWC))
    mean_x, mean_y = _smooth(x), _smooth(y)
    # the sum of both variances is all the formula asks for: one blur less
    spread = _smooth(x * x + y * y) - mean_x * mean_x - mean_y * mean_y
    together = _smooth(x * y) - mean_x * mean_y
    above = (2 * mean_x * mean_y + C1) * (2 * together + C2)
    below = (mean_x * mean_x + mean_y * mean_y + C1) * (spread + C2)
    reach = WINDOW // 2
    inside = (above / below)[reach:-reach, reach:-reach]
    return float(inside.mean(dtype=np.float64))


def _smooth(x_HWC: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(x_HWC, (WINDOW, WINDOW), SIGMA), dtype=np.float32)
