"""Video files: lossless for scoring, H.264 for viewing; the only importer of PyAV.

A scored clip never passes through a lossy codec: `write_lossless` stores RGB with libx264rgb at quantiser 0
in Matroska, and `read` gives back the same bytes. Files get their final name only when complete.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from toraeval.types import ByteArray, UserError, Video

# The same on every machine: x264's bytes depend on it, and equal clips should give equal files.
ENCODER_THREADS = 2
# Our own files carry their length and exact rate, because Matroska rounds both away.
FRAMES_TAG = "TORAEVAL_FRAMES"
FPS_TAG = "TORAEVAL_FPS"
TEMPORARY = ".tmp-"  # start of the names of unfinished files, which a killed process leaves behind
LOSSLESS_OPTIONS = {"crf": "0", "preset": "ultrafast", "g": "16"}
PREVIEW_OPTIONS = {"crf": "18", "preset": "veryfast"}


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


def write_lossless(video: Video, path: str | os.PathLike[str]) -> Path:
    """Write the exact frames as Matroska (H.264 RGB, quantiser 0); any size, odd ones included.

    Raises:
        UserError: the disk is full or the place is not writable; no partial file stays.
    """
    return _write(video.thwc, video.fps, Path(path), "matroska", "libx264rgb", "rgb24", LOSSLESS_OPTIONS)


def write_preview(video: Video, path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Write a small H.264 file (MP4, yuv420p) that browsers play; lossy, never to be scored.

    Returns:
        JSON-able facts: `width`, `height` of the file and `padded` `[right, bottom]`: edge pixels
        repeated to reach even sides, which yuv420p needs.

    Raises:
        UserError: the disk is full or the place is not writable; no partial file stays.
    """
    frames = video.thwc
    right, bottom = video.width % 2, video.height % 2
    if right or bottom:
        frames = np.pad(frames, ((0, 0), (0, bottom), (0, right), (0, 0)), mode="edge")
    _write(frames, video.fps, Path(path), "mp4", "libx264", "yuv420p", PREVIEW_OPTIONS)
    return {"width": video.width + right, "height": video.height + bottom, "padded": [right, bottom]}


def read(path: str | os.PathLike[str]) -> Video:
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
        _refuse_cut_off(path, stream)
        frames, times, rotation = _decode(path, container, stream)
        tagged_frames = _number(container.metadata.get(FRAMES_TAG))
        if tagged_frames is not None and int(tagged_frames) != len(frames):
            raise UserError(
                f"{path}: the file is cut off: {len(frames)} of {int(tagged_frames)} frames decode; "
                "delete it and run the command again"
            )
        fps, variable = _rate(times, stream, _number(container.metadata.get(FPS_TAG)))
        info: dict[str, Any] = {
            "source": path.name,
            "codec": stream.codec_context.name,
            "pixel_format": stream.codec_context.pix_fmt,
            "decoded_frames": len(frames),
            "header_frames": stream.frames or None,
            "variable_frame_rate": variable,
        }
    if rotation:
        info["rotation_deg"] = rotation
    return Video.from_thwc(np.stack(frames), fps, info)


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


def video_sha256(video: Video) -> str:
    """Return the SHA-256 of shape, rate and RGB bytes; it does not depend on memory layout or file format."""
    digest = hashlib.sha256(f"{video.num_frames}x{video.height}x{video.width}@{float(video.fps)!r}".encode())
    for frame in video.thwc:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


# --- writing ------------------------------------------------------------------------------------------------


def _write(
    frames_THWC: ByteArray,
    fps: float,
    path: Path,
    container_format: str,
    codec: str,
    pixel_format: str,
    options: Mapping[str, str],
) -> Path:
    if not fps > 0:
        raise UserError(f"{path}: fps={fps}; allowed are numbers above 0")
    raw_bytes = frames_THWC.size
    with _atomic(path, raw_bytes) as file:
        container = av.open(
            file,
            "w",
            format=container_format,
            # Without bitexact the muxers add random identifiers, and equal clips would give different files.
            options={"fflags": "+bitexact"},
        )
        try:
            container.metadata.update({FRAMES_TAG: str(len(frames_THWC)), FPS_TAG: repr(float(fps))})
            stream = cast(
                VideoStream, container.add_stream(codec, rate=Fraction(fps).limit_denominator(100_000))
            )
            stream.height, stream.width = frames_THWC.shape[1:3]
            stream.pix_fmt = pixel_format
            stream.options = dict(options)
            stream.thread_count = ENCODER_THREADS
            for frame in frames_THWC:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        finally:
            container.close()
    return path


class _Sink:
    """File object for FFmpeg that remembers its first error, which PyAV may replace by a vague one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextlib.contextmanager
def _atomic(path: Path, expected_bytes: int) -> Iterator[_Sink]:
    """Open a temporary file beside `path`; fsync and rename it on success, delete it on any failure."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            sink = _Sink(file)
            try:
                yield sink
            except av.error.FFmpegError as error:
                raise sink.failure or error from error
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(_write_failure(path, error, expected_bytes)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_failure(path: Path, error: OSError, expected_bytes: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        try:
            free = f"{shutil.disk_usage(path.parent).free / 1e6:.0f} MB are free"
        except OSError:
            free = "the disk is full"
        return (
            f"{path}: no space left: the clip needs up to {max(expected_bytes / 1e6, 1):.0f} MB, {free}; "
            "delete old runs or choose another results folder, then run the same command again"
        )
    return f"{path}: cannot write: {error.strerror or error}; choose a folder that you may write to"


# --- reading ------------------------------------------------------------------------------------------------


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


def _decode(
    path: Path, container: InputContainer, stream: VideoStream
) -> tuple[list[ByteArray], list[float | None], int]:
    """Decode frame by frame; return RGB frames HWC, their times in seconds and the rotation applied."""
    stream.thread_type = "AUTO"
    frames: list[ByteArray] = []
    times: list[float | None] = []
    rotation = 0
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise UserError(f"{path}: frame {len(frames)} is damaged; copy or encode the file again")
            rotation = int(frame.rotation) % 360
            picture = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            if rotation % 90 == 0 and rotation:
                picture = np.rot90(picture, rotation // 90)
            if frames and picture.shape != frames[0].shape:
                raise UserError(
                    f"{path}: frame {len(frames)} is {picture.shape[1]}x{picture.shape[0]} after "
                    f"{frames[0].shape[1]}x{frames[0].shape[0]}; allowed is one size for the whole clip"
                )
            frames.append(picture)
            times.append(frame.time)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path}: damaged after {len(frames)} frames: {_reason(error)}") from error
    if not frames:
        raise UserError(f"{path}: no frame could be decoded")
    return frames, times, rotation


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
