"""Which files are taken for videos, by their names."""

from __future__ import annotations

import os
from pathlib import PurePath

# In the order of messages: usual ones first. Compared in lower case.
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".mov", ".webm", ".avi", ".gif", ".m4v", ".qt", ".3gp", ".3g2", ".mj2", ".f4v", ".flv", ".wmv",
    ".asf", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".ogg", ".ogm", ".mxf",
    ".nut", ".y4m", ".ivf", ".dv", ".divx", ".mjpg", ".mjpeg", ".h264", ".264", ".h265", ".265", ".hevc", ".apng",
    ".webp", ".avif",
)  # fmt: skip


def has_video_suffix(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's name ends like a video's, in any case of letters."""
    return PurePath(path).suffix.lower() in VIDEO_SUFFIXES
