"""Ways in which a video can be worse than its render: blur, noise, compression, fading objects.

They show how far a measurement depends on clean pictures. Frames are uint8 RGB (T, H, W, 3)
throughout; nothing moves, so that exact tracks stay exact.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from toraeval.types import BoolArray, ByteArray, Video
from toraeval.video.reading import read_video
from toraeval.video.writing import write_preview


def blur(frames_THWC: ByteArray, sigma: float) -> ByteArray:
    """Return the frames after a Gaussian of `sigma` > 0 pixels."""
    return np.stack([np.asarray(cv2.GaussianBlur(f, (0, 0), sigma), np.uint8) for f in frames_THWC])


def noise(frames_THWC: ByteArray, sigma: float, rng: np.random.Generator) -> ByteArray:
    """Return the frames with independent Gaussian noise of `sigma` 8-bit units in every channel."""
    grains = rng.standard_normal(frames_THWC.shape, dtype=np.float32)
    return np.clip(np.rint(frames_THWC + np.float32(sigma) * grains), 0, 255).astype(np.uint8)


def h264(frames_THWC: ByteArray, fps: float) -> ByteArray:
    """Return the frames after H.264 at the quality of the preview files (`writing.PREVIEW_OPTIONS`)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_preview(Video.from_thwc(frames_THWC, fps), path)
        height, width = frames_THWC.shape[1:3]
        return np.ascontiguousarray(read_video(path).thwc[:, :height, :width])


def blocks(frames_THWC: ByteArray, quality: int) -> ByteArray:
    """Return the frames after JPEG of `quality` 1..100: 8 x 8 blocks and reduced colour, frame by frame."""
    out = np.empty_like(frames_THWC)
    for source, target in zip(frames_THWC, out, strict=True):
        _, data = cv2.imencode(".jpg", source, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
        target[:] = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return out


def fade_objects(
    frames_THWC: ByteArray,
    backgrounds_THWC: ByteArray,
    objects_THW: BoolArray,
    *,
    sigma: float,
    share: float,
    ramp: int,
) -> ByteArray:
    """Blur the objects and let the background shine through them, as generated videos do with what moved.

    Args:
        backgrounds_THWC: uint8 pictures without the objects.
        objects_THW: bool, pixels of any object.
        sigma: Gaussian at full effect, pixels.
        share: part of the background that shines through at full effect, [0, 1].
        ramp: frames until full effect, >= 1; the first frame is untouched.
    """
    out = frames_THWC.copy()
    reach = max(1, round(2 * sigma))
    grow = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    for t in range(1, len(out)):
        effect = min(1.0, t / ramp)
        area = cv2.dilate(objects_THW[t].astype(np.uint8), grow).astype(np.float32)
        area = cv2.GaussianBlur(area, (0, 0), 0.5 * reach)[..., None]
        soft = cv2.GaussianBlur(frames_THWC[t], (0, 0), max(0.1, effect * sigma)).astype(np.float32)
        soft += effect * share * (backgrounds_THWC[t] - soft)
        out[t] = np.rint(frames_THWC[t] + area * (soft - frames_THWC[t]))
    return out
