"""Decoded frames as RGB: the same bytes on every processor, edges of colour where the encoder put them.

FFmpeg's plain conversion takes one chroma sample for two pixels and rounds down, which shifts coloured edges by a
pixel and darkens by one level. Here chroma is interpolated (bicubic, as FFmpeg's own `scale` filter does) at full
resolution, rounded accurately, and computed by code that gives equal bits with every instruction set.
"""

from __future__ import annotations

from collections.abc import Callable

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter

from toraeval.types import ByteArray

_EXACT = ("rgb24", "bgr24", "rgb0", "bgr0", "0rgb", "0bgr")  # copied, without any arithmetic
# FFmpeg writes three planes in a third of the time that it takes for interleaved pixels; the bytes are the same.
_PLANAR = (
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "yuv420p10le", "yuv444p10le",
)  # fmt: skip
_FLAGS = (
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)


Place = Callable[[int, int], ByteArray]


class Converter:
    """Turns the frames of one file into RGB; what FFmpeg prepares for a size and format is kept between them."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def to_rgb(self, frame: av.VideoFrame, place: Place | None = None) -> tuple[ByteArray, bool]:
        """Return a frame as uint8 RGB (H, W, C), and whether transparent pixels were laid over white.

        Matrix and range are those the file states; BT.601 where it states none, as FFmpeg takes it. Where that saves
        a copy the result is written into the array that `place(height, width)` returns.
        """
        if frame.format.name in _PLANAR:
            frame = self._converted(frame, "gbrp")
        if frame.format.name == "gbrp":  # also what `write_lossless` stores
            green, blue, red = (_plane(plane, frame) for plane in frame.planes)
            joined = np.empty((*green.shape, 3), np.uint8) if place is None else place(*green.shape)
            cv2.merge([red, green, blue], joined)
            return joined, False
        if frame.format.name in _EXACT:
            return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8), False
        alpha = any(component.is_alpha for component in frame.format.components) or frame.format.has_palette
        shown = self._converted(frame, "rgba" if alpha else "rgb24")
        picture = np.asarray(shown.to_ndarray(), dtype=np.uint8)
        return over_white(picture) if alpha else (picture, False)

    def _converted(self, frame: av.VideoFrame, target: str) -> av.VideoFrame:
        return self._reformatter.reformat(frame, format=target, interpolation=_FLAGS)


def _plane(plane: VideoPlane, frame: av.VideoFrame) -> ByteArray:
    """Return the uint8 (H, W) samples of a plane without the padding of its lines."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
        : frame.height, : frame.width
    ]


def over_white(rgba_HWC: ByteArray) -> tuple[ByteArray, bool]:
    """Lay a uint8 RGBA picture over white; the flag says whether any pixel was transparent."""
    rgb, alpha = rgba_HWC[..., :3], rgba_HWC[..., 3:]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(rgb), False
    weight = alpha.astype(np.uint32)
    mixed = (rgb * weight + 255 * (255 - weight) + 127) // 255
    return mixed.astype(np.uint8), True
