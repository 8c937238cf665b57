"""How a picture of any size is shown to DragNUWA's 576x320, and how its frames are brought back.

Shape legend: T frames, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from toraeval.geometry import cover_crop, scale_points
from toraeval.types import ByteArray, FloatArray, UserError

FITS = ("cover", "pad", "stretch")
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Framing:
    """The picture is scaled to `scaled`; the model sees the part of `seen` size that begins at `offset`.

    Attributes:
        fit: `cover`, `pad` or `stretch`.
        source, scaled, seen: `(width, height)` in pixels.
        offset: `(left, top)` of what is seen, in pixels of the scaled picture; negative where it is padded.
    """

    fit: str
    source: Size
    scaled: Size
    seen: Size
    offset: Size

    def points(self, tracks_NT2: FloatArray) -> FloatArray:
        """Map `(x, y)` pixels of the source to pixels of what is seen; they may end up outside."""
        return scale_points(tracks_NT2, self.source, self.scaled) - np.asarray(self.offset)

    def show(self, picture_HWC: ByteArray) -> ByteArray:
        """Return what the model sees: scaled bilinearly as in its demo, black where padded."""
        scaled = _resize(picture_HWC, self.scaled, Image.Resampling.BILINEAR)
        left, top = self.offset
        box = (left, top, left + self.seen[0], top + self.seen[1])
        return np.asarray(Image.fromarray(scaled).crop(box))  # what lies outside the picture becomes black

    def bring_back(self, frames_THWC: ByteArray, first_HWC: ByteArray) -> ByteArray:
        """Return frames of the source's size, scaled bicubically; what the model did not see stays the first frame."""
        if self.source == self.seen:
            return frames_THWC
        canvas = _resize(first_HWC, self.scaled, Image.Resampling.BICUBIC)
        (left, top), (width, height) = self.offset, self.scaled
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + self.seen[0], width), min(top + self.seen[1], height)
        frames = []
        for frame_HWC in frames_THWC:
            canvas = canvas.copy()
            canvas[y0:y1, x0:x1] = frame_HWC[y0 - top : y1 - top, x0 - left : x1 - left]
            frames.append(_resize(canvas, self.source, Image.Resampling.BICUBIC))
        return np.stack(frames)


def framing(fit: str, source: Size, seen: Size) -> Framing:
    """Return how a picture of `source` size is shown.

    Raises:
        UserError: an unknown `fit`.
    """
    if fit == "cover":
        crop = cover_crop(source, seen)
        return Framing(fit, source, crop.scaled, seen, crop.offset)
    if fit == "pad":
        ratio = min(seen[0] / source[0], seen[1] / source[1])
        scaled = (max(1, round(source[0] * ratio)), max(1, round(source[1] * ratio)))
        return Framing(fit, source, scaled, seen, ((scaled[0] - seen[0]) // 2, (scaled[1] - seen[1]) // 2))
    if fit == "stretch":
        return Framing(fit, source, seen, seen, (0, 0))
    raise UserError(f"model dragnuwa size=upstream: fit={fit}; allowed: {', '.join(FITS)}")


def _resize(picture_HWC: ByteArray, size: Size, method: Image.Resampling) -> ByteArray:
    if (picture_HWC.shape[1], picture_HWC.shape[0]) == size:
        return np.asarray(picture_HWC)
    return np.array(Image.fromarray(np.ascontiguousarray(picture_HWC)).resize(size, method))
