"""PSNR: how far the generated frames are from the reference frames, pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np

from toraeval.metrics.shared.expectations import CLOSE
from toraeval.metrics.shared.reference import ComparedMetric, Numbers, each_pair
from toraeval.types import ByteArray, FloatArray, Video

LARGEST_DB = 100.0
SMALLEST_ERROR = 1e-10


class PSNR(ComparedMetric):
    """Peak signal-to-noise ratio of the generated frames against the reference frames.

        psnr = mean over cases, frames t of 10 log10(1 / mse_t), pixels in [0, 1], mse over pixels and channels

    Higher is better; 0 to 100 dB; equal frames (mse below 1e-10) count as 100 dB, so that a mean exists. Frame 0 is
    left out, because image-conditioned models are given it. At most `max_frames` frames are compared, evenly spread
    over the rest, last included.

    A frozen video agrees with the reference wherever nothing moves, which is most of the picture: it may well beat a
    model that moves. Read `motion_amount` and `traj_error` beside it. Cases without a reference clip and clips of one
    frame are recorded skips.

    Source: the usual definition; 100 dB for equal frames as in common_metrics_on_video_quality.

    Args:
        max_frames: most frames that are compared.

    Raises:
        UserError: `max_frames` below 1.
    """

    name = "psnr"
    version = "2"
    direction = "higher"
    units = "dB"
    value_range = "0 to 100 dB"
    formula = "mean_case mean_frame 10 log10(1 / mse), pixels in [0, 1]"
    columns = {"psnr": "mean peak signal-to-noise ratio against the reference frames"}
    source = "usual definition"
    expected = {"psnr": CLOSE}

    def compare(self, video: Video, truth: Video, chosen_K: Numbers) -> FloatArray:
        """Return the ratio in dB of each chosen frame, float64 (K,)."""
        return each_pair(psnr, video, truth, chosen_K)


def psnr(frame_HWC: ByteArray, truth_HWC: ByteArray) -> float:
    """Return the ratio in dB of two uint8 frames."""
    squares = cv2.norm(frame_HWC, truth_HWC, cv2.NORM_L2SQR)
    error = squares / (frame_HWC.size * 255.0**2)
    return LARGEST_DB if error < SMALLEST_ERROR else float(-10 * np.log10(error))
