"""Video files: lossless for scoring, H.264 for viewing; the only importer of PyAV.

A scored clip never passes through a lossy codec: `write_lossless` stores RGB with libx264rgb at quantiser 0
in Matroska, and `read_video` gives back the same bytes. Files get their final name only when complete.
"""

from __future__ import annotations

import hashlib

import numpy as np

from toraeval.types import Video
from toraeval.video.opening import VIDEO_SUFFIXES, has_video_suffix, require_bytes
from toraeval.video.pictures import PICTURE_SUFFIXES, has_picture_suffix, picture_size, read_picture
from toraeval.video.reading import (
    READER_VERSION,
    VideoFacts,
    VideoProbe,
    measure_video,
    probe_video,
    read_frames,
    read_video,
)
from toraeval.video.writing import write_lossless, write_preview

__all__ = [
    "PICTURE_SUFFIXES",
    "READER_VERSION",
    "VIDEO_SUFFIXES",
    "VideoFacts",
    "VideoProbe",
    "has_picture_suffix",
    "has_video_suffix",
    "measure_video",
    "picture_size",
    "probe_video",
    "read_frames",
    "read_picture",
    "read_video",
    "require_bytes",
    "video_sha256",
    "write_lossless",
    "write_preview",
]


def video_sha256(video: Video) -> str:
    """Return the SHA-256 of shape, rate and RGB bytes; it does not depend on memory layout or file format."""
    digest = hashlib.sha256(f"{video.num_frames}x{video.height}x{video.width}@{float(video.fps)!r}".encode())
    for frame in video.thwc:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()
