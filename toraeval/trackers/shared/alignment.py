"""Placing a template in a picture: correlation search, robust sub-pixel refinement, agreement.

The refinement is inverse-compositional Gauss-Newton for a translation (Baker and Matthews,
"Lucas-Kanade 20 Years On", IJCV 2004) with Geman-McClure weights, so that pixels hidden by
another object do not pull.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toraeval.trackers.shared.frame_view import LabPicture
from toraeval.trackers.shared.template import Floats, Template
from toraeval.types import FloatArray

_WIDE, _NARROWING = 4.0, 0.6  # tolerance of the first step in units of the last, and its shrinking


@dataclass(frozen=True)
class Fit:
    """How well a template sits at one place.

    Attributes:
        shift: float64 (2,) displacement `(x, y)` from frame 0, reduced pixels.
        agreement: weighted share of the template whose colour is met, [0, 1].
        correlation: weighted normalised correlation over the three channels, [-1, 1].
        inside: share of the template's weight that lies inside the picture, [0, 1].
        weights_HW: float32 agreement of each template pixel, [0, 1]; 0 outside the picture.
        window_HW3: float32 colours met under the template.
    """

    shift: FloatArray
    agreement: float
    correlation: float
    inside: float
    weights_HW: Floats
    window_HW3: Floats

    @property
    def quality(self) -> float:
        """Mean of agreement and non-negative correlation, [0, 1]."""
        return 0.5 * (self.agreement + max(self.correlation, 0.0))


def cut(image: LabPicture, top: int, left: int, height: int, width: int) -> Floats:
    """Return a float32 window; pixels beyond the border repeat the border."""
    rows, columns = image.shape[:2]
    if top >= 0 and left >= 0 and top + height <= rows and left + width <= columns:
        return image.part(top, left, top + height, left + width).astype(np.float32)
    y = np.clip(np.arange(top, top + height), 0, rows - 1)
    x = np.clip(np.arange(left, left + width), 0, columns - 1)
    near = image.part(y[0], x[0], y[-1] + 1, x[-1] + 1)
    return near[(y - y[0])[:, None], x - x[0]].astype(np.float32)


def _sample(image: LabPicture, template: Template, shift: FloatArray) -> tuple[Floats, Floats | None]:
    """Return the bilinear window under a shifted template, and its in-picture mask (None: all inside)."""
    height, width = template.shape
    left_f, top_f = template.left + float(shift[0]), template.top + float(shift[1])
    left, top = int(np.floor(left_f)), int(np.floor(top_f))
    fx, fy = np.float32(left_f - left), np.float32(top_f - top)
    window = cut(image, top, left, height + 1, width + 1)
    # a whole-pixel shift copies, so that a frame equal to frame 0 leaves no residual
    window = window[:, :-1] + fx * (window[:, 1:] - window[:, :-1]) if fx else window[:, :-1]
    window = window[:-1] + fy * (window[1:] - window[:-1]) if fy else window[:-1]
    rows, columns = image.shape[:2]
    if left >= 0 and top >= 0 and left_f + width <= columns and top_f + height <= rows:
        return window, None
    x = left_f + np.arange(width)
    y = top_f + np.arange(height)
    inside = ((y >= -0.5) & (y <= rows - 0.5))[:, None] & ((x >= -0.5) & (x <= columns - 0.5))[None, :]
    return window, inside.astype(np.float32)


def _correlation(template: Template, window: Floats, inside: Floats | None) -> float:
    weight = template.correlation_HW if inside is None else template.correlation_HW * inside
    total = float(weight.sum())
    if total <= 0:
        return 0.0
    flat = weight.reshape(-1) / np.float32(total)
    a: Floats = template.lab_HW3.reshape(-1, 3)
    b: Floats = window.reshape(-1, 3)
    a, b = a - (flat @ a).astype(np.float32), b - (flat @ b).astype(np.float32)
    norm = float(np.sqrt((flat @ (a * a)).sum() * (flat @ (b * b)).sum()))
    return float((flat @ (a * b)).sum()) / norm if norm > 1e-6 else 0.0


def refine(
    image: LabPicture,
    template: Template,
    shift: FloatArray,
    *,
    sigma: float,
    iterations: int,
    max_move: float,
) -> Fit:
    """Move a template to the best place near a start and measure how it sits there.

    Args:
        image: Lab at the template's scale.
        template: the look in frame 0.
        shift: start, displacement from frame 0 in reduced pixels.
        sigma: colour difference at which a pixel counts a quarter, 8-bit units.
        iterations: at most this many steps.
        max_move: give up (keep the start) when a step leads farther away than this, reduced pixels.
    """
    start = np.asarray(shift, np.float64)
    place = start.copy()
    window, inside = _sample(image, template, place)
    for iteration in range(iterations):
        # a wide tolerance first: far from the goal, it is the edges that disagree and must pull
        width = max(1.0, _WIDE * _NARROWING**iteration)
        step = _gauss_newton_step(template, window, inside, sigma * width)
        if step is None or float(np.abs(place - step - start).max()) > max_move:
            break
        if not step.any():
            break
        place = place - step
        window, inside = _sample(image, template, place)
        if width == 1.0 and float(np.abs(step).max()) < 0.01:
            break
    return _measure(template, window, inside, place, sigma)


def _pixel_weights(
    template: Template, window: Floats, inside: Floats | None, sigma: float
) -> tuple[Floats, Floats]:
    residual = window - template.lab_HW3
    ratio = np.einsum("hwc,hwc->hw", residual, residual) * np.float32(1.0 / sigma**2)
    weights = np.float32(1.0) / np.square(np.float32(1.0) + ratio)
    return residual, (weights if inside is None else weights * inside)


def _gauss_newton_step(
    template: Template, window: Floats, inside: Floats | None, sigma: float
) -> FloatArray | None:
    residual, weights = _pixel_weights(template, window, inside, sigma)
    weights = weights * template.correlation_HW
    gx, gy = template.gradient_x_HW3, template.gradient_y_HW3
    wx, wy = weights[..., None] * gx, weights[..., None] * gy
    a, b, c = float(np.vdot(wx, gx)), float(np.vdot(wx, gy)), float(np.vdot(wy, gy))
    determinant = a * c - b * b
    if determinant <= 1e-4 * (a + c) ** 2 or a + c <= 0:
        return None
    rx, ry = float(np.vdot(wx, residual)), float(np.vdot(wy, residual))
    return np.array([c * rx - b * ry, a * ry - b * rx]) / determinant


def _measure(
    template: Template, window: Floats, inside: Floats | None, place: FloatArray, sigma: float
) -> Fit:
    _, weights = _pixel_weights(template, window, inside, sigma)
    seen = 1.0 if inside is None else float((template.weight_HW * inside).sum() / template.weight_HW.sum())
    agreement = float((template.weight_HW * weights).sum() / template.weight_HW.sum())
    agreement = agreement / seen if seen > 0 else 0.0
    return Fit(place, agreement, _correlation(template, window, inside), seen, weights, window)


def search(
    image: LabPicture, template: Template, centre: FloatArray, radius: int, *, peaks: int, floor: float
) -> list[tuple[FloatArray, float]]:
    """Return the highest peaks of the colour correlation around a place, best first.

    Args:
        image: Lab at the template's scale.
        template: the look in frame 0.
        centre: displacement from frame 0 in reduced pixels, rounded to whole pixels here.
        radius: search reach in reduced pixels.
        peaks: at most this many.
        floor: peaks below this correlation are left out.

    Returns:
        (shift, correlation) pairs; shifts are whole reduced pixels.
    """
    middle = np.rint(centre)
    height, width = template.shape
    top, left = template.top + int(middle[1]) - radius, template.left + int(middle[0]) - radius
    window = cut(image, top, left, height + 2 * radius, width + 2 * radius)
    # equal weights need no mask, which takes three times as long
    mask = None if (template.correlation_HW == 1).all() else template.correlation_HW
    scores = cv2.matchTemplate(window, template.lab_HW3, cv2.TM_CCOEFF_NORMED, mask=mask)
    # a window without structure divides by zero
    scores = np.where(np.isfinite(scores) & (np.abs(scores) <= 1.001), scores, np.float32(-1.0))
    best = np.argwhere((scores >= cv2.dilate(scores, np.ones((5, 5), np.uint8))) & (scores >= floor))
    places = best[:, ::-1] - radius + middle
    heights = [float(scores[y, x]) for y, x in best]
    away = np.square(places - centre).sum(axis=1)
    # ties are broken by the distance to the expected place, so that a frozen clip stays put
    order = sorted(range(len(best)), key=lambda k: (-round(heights[k], 5), float(away[k])))
    return [(places[k], heights[k]) for k in order[:peaks]]


def exposure(
    template: Template, window_HW3: Floats, weights_HW: Floats, gain_3: Floats, bias_3: Floats
) -> tuple[Floats, Floats, float]:
    """Regress the colours met on those of frame 0, per channel; edges are left out.

    Blurred edges would read as a loss of contrast.

    Args:
        template: the look in frame 0, not recoloured.
        window_HW3: float32 colours met under the template.
        weights_HW: float32 trust in each pixel, [0, 1].
        gain_3, bias_3: the exposure so far; a channel without structure keeps its gain.

    Returns:
        Gain, bias, and how far they would move the object's mean colour from the exposure so
        far, 8-bit units (infinite when too few pixels are trusted).
    """
    weight = (weights_HW * template.flat_HW).reshape(-1)
    total = float(weight.sum())
    if total < 0.1:
        return gain_3, bias_3, np.inf
    weight = weight / np.float32(total)
    old, new = template.lab_HW3.reshape(-1, 3), window_HW3.reshape(-1, 3)
    mean_old, mean_new = weight @ old, weight @ new
    variance = weight @ np.square(old - mean_old)
    covariance = weight @ ((old - mean_old) * (new - mean_new))
    gain = np.clip((covariance + 25.0 * gain_3) / (variance + 25.0), 0.3, 1.7).astype(np.float32)
    bias = (mean_new - gain * mean_old).astype(np.float32)
    return gain, bias, float(np.abs(mean_new - (gain_3 * mean_old + bias_3)).max())
