"""Decoding clips: every frame is counted, and damaged or cut-off files are refused."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from toraeval.types import ByteArray, UserError, Video
from toraeval.videoio.writing import FPS_TAG, FRAMES_TAG


@dataclass(frozen=True)
class VideoProbe:
    """What a file's header claims, without decoding; the frame count may be wrong or absent (None).

    Attributes:
        width, height: stored size in pixels, before any rotation.
        fps: average rate the header states, or None.
        header_frames: frame count the header states, or None; `read` never trusts it.
        codec, pixel_format: FFmpeg names.
    """

    width: int
    height: int
    fps: float | None
    header_frames: int | None
    codec: str
    pixel_format: str


@dataclass(frozen=True)
class VideoFacts:
    """What decoding a file shows.

    Attributes:
        width, height: in pixels, after any rotation.
        frames: number of frames that decode.
        fps: frames per second, as `read` gives it.
    """

    width: int
    height: int
    frames: int
    fps: float


def read(path: str | os.PathLike[str], allow_damaged: bool = False) -> Video:
    """Decode every frame of a video file to uint8 RGB, counting what decodes and not what the header says.

    Returns:
        Video with `info`: `source`, `codec`, `pixel_format`, `decoded_frames`, `header_frames`,
        `variable_frame_rate` (True: `fps` is the mean rate, and scoring takes the frame index as time) and,
        where the file asks for it, the `rotation_deg` (counterclockwise) that was applied.

    Raises:
        UserError: the file is absent, empty, no video, damaged, cut off, has no frames or changes its size.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        frames: list[ByteArray] = []
        decoded = _decode(path, container, stream, frames.append)
        fps, variable = _rate(decoded.times, stream, _number(container.metadata.get(FPS_TAG)))
        info: dict[str, Any] = {
            "source": path.name,
            "codec": stream.codec_context.name,
            "pixel_format": stream.codec_context.pix_fmt,
            "decoded_frames": len(frames),
            "header_frames": stream.frames or None,
            "variable_frame_rate": variable,
        }
    if decoded.rotation:
        info["rotation_deg"] = decoded.rotation
    return Video.from_thwc(np.stack(frames), fps, info)


def measure(path: str | os.PathLike[str], allow_damaged: bool = False) -> VideoFacts:
    """Decode a video file and keep no picture: size, number of frames and rate, as `read` would give them.

    Raises:
        UserError: as `read`.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        decoded = _decode(path, container, stream, None)
        fps, _ = _rate(decoded.times, stream, _number(container.metadata.get(FPS_TAG)))
    width, height = decoded.size
    return VideoFacts(width, height, len(decoded.times), fps)


def probe(path: str | os.PathLike[str]) -> VideoProbe:
    """Read a file's header only.

    Raises:
        UserError: the file is absent, empty or no video.
    """
    with _opened(Path(path)) as (_, stream):
        context = stream.codec_context
        return VideoProbe(
            width=context.width,
            height=context.height,
            fps=float(stream.average_rate) if stream.average_rate else None,
            header_frames=stream.frames or None,
            codec=context.name,
            pixel_format=context.pix_fmt or "",
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not path.is_file():
        raise UserError(f"{path}: no such video file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the video file is empty (0 bytes)")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable video file, or cut off: {_reason(error)}") from error
    try:
        if not container.streams.video:
            raise UserError(f"{path}: the file holds no video stream")
        yield container, container.streams.video[0]
    finally:
        container.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


def _refuse_cut_off(path: Path, stream: VideoStream) -> None:
    """Refuse MP4 files with their index in front, which would decode silently up to the cut."""
    size = path.stat().st_size
    needed = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    if stream.frames and needed > size:
        raise UserError(f"{path}: the file is cut off: its index needs {needed} bytes, the file has {size}")


@dataclass(frozen=True)
class _Decoded:
    times: list[float | None]  # seconds, None where the file states none
    size: tuple[int, int]  # after rotation
    rotation: int


def _decode(
    path: Path, container: InputContainer, stream: VideoStream, take: Callable[[ByteArray], object] | None
) -> _Decoded:
    """Decode frame by frame; `take` gets each one as RGB (H, W, C)."""
    _refuse_cut_off(path, stream)
    stream.thread_type = "AUTO"
    times: list[float | None] = []
    size, rotation = (0, 0), 0
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise UserError(f"{path}: frame {len(times)} is damaged; copy or encode the file again")
            rotation = int(frame.rotation) % 360
            turned = rotation % 180 == 90
            found = (frame.height, frame.width) if turned else (frame.width, frame.height)
            if times and found != size:
                raise UserError(
                    f"{path}: frame {len(times)} is {found[0]}x{found[1]} after {size[0]}x{size[1]}; "
                    "allowed is one size for the whole clip"
                )
            size = found
            times.append(frame.time)
            if take is not None:
                picture = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                take(np.rot90(picture, rotation // 90) if rotation % 90 == 0 and rotation else picture)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path}: damaged after {len(times)} frames: {_reason(error)}") from error
    if not times:
        raise UserError(f"{path}: no frame could be decoded")
    tagged_frames = _number(container.metadata.get(FRAMES_TAG))
    if tagged_frames is not None and int(tagged_frames) != len(times):
        raise UserError(
            f"{path}: the file is cut off: {len(times)} of {int(tagged_frames)} frames decode; "
            "delete it and run the command again"
        )
    return _Decoded(times, size, rotation)


def _rate(times: list[float | None], stream: VideoStream, tagged: float | None) -> tuple[float, bool]:
    """Return frames per second and whether the time stamps are uneven (beyond rounding to the time base)."""
    header = float(stream.average_rate or stream.guessed_rate or 0)
    known = [time for time in times if time is not None]
    if len(known) < 2 or len(known) != len(times):
        return tagged or header or 1.0, False
    steps = np.diff(known)
    typical = float(np.median(steps))
    tick = float(stream.time_base or 0)
    if float(np.abs(steps - typical).max()) > max(0.1 * typical, 2.5 * tick):
        span = known[-1] - known[0]
        return (len(known) - 1) / span if span > 0 else header or 1.0, True
    for stated in (tagged, header):
        # The header rate is exact where the time stamps are rounded, but some muxers state nonsense.
        if stated and abs(stated * (known[-1] - known[0]) - (len(known) - 1)) <= max(0.02 * len(known), 0.5):
            return stated, False
    return (len(known) - 1) / (known[-1] - known[0]), False


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        warnings.warn(f"ignored a damaged tag {text!r} in a video file", stacklevel=2)
        return None
