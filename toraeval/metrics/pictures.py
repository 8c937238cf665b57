"""PSNR and SSIM: how far the generated frames are from the reference frames, in pixels and in structure."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import CLOSE
from toraeval.metrics.shared.reference import ComparedMetric, Numbers, each_pair
from toraeval.types import ByteArray, Case, FloatArray, Tracks, Video

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

    def compare(self, video: Video, chosen_K: Numbers, truth_KHWC: ByteArray) -> FloatArray:
        """Return the ratio in dB of each chosen frame, float64 (K,)."""
        return each_pair(psnr, video, chosen_K, truth_KHWC)


def psnr(frame_HWC: ByteArray, truth_HWC: ByteArray) -> float:
    """Return the ratio in dB of two uint8 frames."""
    squares = cv2.norm(frame_HWC, truth_HWC, cv2.NORM_L2SQR)
    error = squares / (frame_HWC.size * 255.0**2)
    return LARGEST_DB if error < SMALLEST_ERROR else float(-10 * np.log10(error))


WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
STRIP = 32  # rows that are compared at once


class SSIM(ComparedMetric):
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

    name = "ssim"
    version = "2"
    direction = "higher"
    value_range = "-1 to 1"
    formula = "mean (2 m_x m_y + C1)(2 s_xy + C2) / ((m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2))"
    pooling = "places and channels of a frame, then frames of a case, then cases, with equal weight"
    details = {
        "window": f"Gaussian, {WINDOW}x{WINDOW}, sigma {SIGMA}, inside the picture only",
        **ComparedMetric.details,
    }
    columns = {"ssim": "mean structural similarity to the reference frames"}
    source = "Wang et al. 2004"
    expected = {"ssim": CLOSE}

    def examine(self, case: Case, tracks: Tracks | None, video: Video | None) -> Found:
        """Return the similarity of a case whose pictures hold the window, see `ComparedMetric.measure`."""
        if min(case.height, case.width) < WINDOW:
            return f"pictures of {case.width}x{case.height} are smaller than the window of {WINDOW}x{WINDOW}"
        return super().examine(case, tracks, video)

    def compare(self, video: Video, chosen_K: Numbers, truth_KHWC: ByteArray) -> FloatArray:
        """Return the similarity of each chosen frame, float64 (K,)."""
        return each_pair(ssim, video, chosen_K, truth_KHWC)


def ssim(frame_HWC: ByteArray, truth_HWC: ByteArray) -> float:
    """Return the similarity of two uint8 RGB frames of at least 11x11 pixels."""
    reach, (height, width) = WINDOW // 2, frame_HWC.shape[:2]
    found = np.empty(frame_HWC.shape, np.float32)
    # strips stay in the processor's cache; every place sees its whole window, so that no number changes
    for top in range(reach, height - reach, STRIP):
        bottom = min(top + STRIP, height - reach)
        rows = slice(top - reach, bottom + reach)
        found[top:bottom, reach : width - reach] = _similarity(frame_HWC[rows], truth_HWC[rows])
    return float(found[reach:-reach, reach:-reach].mean(dtype=np.float64))


def _similarity(frame_HWC: ByteArray, truth_HWC: ByteArray) -> npt.NDArray[np.float32]:
    """Return the similarity at the places whose window lies inside both pictures."""
    reach = WINDOW // 2
    x, y = (frame.astype(np.float32) / np.float32(255) for frame in (frame_HWC, truth_HWC))
    # the sum of both variances is all the formula asks for: one blur less
    mean_x, mean_y, spread, together = (
        _smooth(part)[reach:-reach, reach:-reach] for part in (x, y, x * x + y * y, x * y)
    )
    squares_x, squares_y, product = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    above = (2 * mean_x * mean_y + C1) * (2 * (together - product) + C2)
    below = (squares_x + squares_y + C1) * (spread - squares_x - squares_y + C2)
    return np.asarray(above / below, np.float32)


def _smooth(x_HWC: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(x_HWC, (WINDOW, WINDOW), SIGMA), dtype=np.float32)
