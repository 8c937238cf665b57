"""Opening a video file: only a file, only formats that hold their pictures themselves, only sizes that fit."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from toraeval.types import UserError

# What may be opened. Playlists, concat scripts, SDP, image sequences and the like name other files or addresses and
# are left out, whatever a file's suffix says.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "gif", "apng", "flv", "live_flv", "kux", "asf", "mpeg", "mpegts",
    "mpegvideo", "mpeg1video", "mpeg2video", "m4v", "ogg", "mxf", "nut", "yuv4mpegpipe", "ivf", "dv", "mjpeg",
    "mjpeg_2000", "h264", "hevc", "h263", "h261", "obu", "av1", "vc1", "vc1test", "dirac", "dnxhd", "swf", "rm", "wtv",
    "wav", "mp3", "webp_pipe", "webp",
)  # fmt: skip
# In the order of messages: usual ones first. Compared in lower case.
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".mov", ".webm", ".avi", ".gif", ".m4v", ".qt", ".3gp", ".3g2", ".mj2", ".f4v", ".flv", ".wmv",
    ".asf", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".ogg", ".ogm", ".mxf",
    ".nut", ".y4m", ".ivf", ".dv", ".divx", ".mjpg", ".mjpeg", ".h264", ".264", ".h265", ".265", ".hevc", ".apng",
    ".webp", ".avif",
)  # fmt: skip
MAX_PIXELS = 8192 * 4320  # of one frame
MAX_CLIP_BYTES = 2 << 30  # of a clip decoded to RGB


def has_video_suffix(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's name ends like a video's, in any case of letters."""
    return PurePath(path).suffix.lower() in VIDEO_SUFFIXES


@contextlib.contextmanager
def opened(path: Path, strict: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its best video stream.

    Args:
        path: a file; never an address, whatever its name looks like.
        strict: make every error of the stream an error of the decoder, instead of hiding it.

    Raises:
        UserError: the file is absent, empty or no video, or its frames are too large.
    """
    require_file(path)
    recognition = "crccheck+bitstream+buffer+explode" if strict else "crccheck"
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(CONTAINERS),
        "max_pixels": str(MAX_PIXELS),
    }
    try:
        # With the protocol in front, "http:/x.mp4" and "take:1.mp4" are names like any other.
        container = av.open(f"file:{os.path.abspath(path)}", options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable video file, or cut off: {reason(error)}") from error
    try:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise UserError(f"{path}: the file holds no video stream")
        if stream.codec_context is None:
            raise UserError(f"{path}: no decoder for its video stream, or the file is damaged")
        require_pixels(path, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = {"err_detect": recognition, "max_pixels": str(MAX_PIXELS)}
        yield container, stream
    finally:
        container.close()


def require_file(path: Path) -> None:
    """Raise a `UserError` unless the path is a file with something in it."""
    try:
        there, size = path.is_file(), path.stat().st_size if path.is_file() else 0
    except (OSError, ValueError) as error:
        raise UserError(f"{str(path)[:200]!r}: no such video file ({reason(error)})") from error
    if not there:
        raise UserError(f"{path}: no such video file")
    if size == 0:
        raise UserError(f"{path}: the video file is empty (0 bytes)")


def require_pixels(path: Path, width: int, height: int) -> None:
    """Raise a `UserError` if one frame of this size is too large to be decoded."""
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{path}: its frames are {width}x{height}; allowed are {MAX_PIXELS / 1e6:.0f} million pixels; scale the "
            "clip down"
        )


def require_bytes(path: Path, frames: int, width: int, height: int) -> None:
    """Raise a `UserError` if a clip of this size is too large to be held in memory."""
    needed = frames * width * height * 3
    if needed > MAX_CLIP_BYTES:
        raise UserError(
            f"{path}: {frames} frames of {width}x{height} take {needed / 1e9:.1f} GB decoded; allowed are "
            f"{MAX_CLIP_BYTES / 1e9:.1f} GB; shorten the clip or scale it down"
        )


def reason(error: Exception) -> str:
    """Return the first line of what a library says of a failure."""
    return (str(getattr(error, "strerror", None) or error) or type(error).__name__).splitlines()[0]
