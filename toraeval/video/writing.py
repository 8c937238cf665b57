"""Encoding clips, lossless or for viewing; a file gets its final name only when complete."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from toraeval.types import TEMPORARY, ByteArray, UserError, Video

# Equal clips give equal files: with two threads on a busy machine, one preview in two hundred came out otherwise.
ENCODER_THREADS = 1
# Our own files carry their length and exact rate, because Matroska rounds both away.
FRAMES_TAG = "TORAEVAL_FRAMES"
FPS_TAG = "TORAEVAL_FPS"
LOSSLESS_OPTIONS = {"crf": "0", "preset": "ultrafast", "g": "16"}
# Previews are looked at, never scored: a third of the time of `veryfast` at its size, 0.2 dB below it.
PREVIEW_OPTIONS = {"crf": "20", "preset": "ultrafast", "x264-params": "cabac=1:deblock=0,0"}


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
                container.mux(stream.encode(_picture(np.ascontiguousarray(frame), pixel_format)))
            container.mux(stream.encode(None))
        finally:
            container.close()
    return path


def _picture(frame_HWC: ByteArray, pixel_format: str) -> av.VideoFrame:
    """Return a frame for the encoder; OpenCV converts to BT.601 as FFmpeg would, three times as fast."""
    if pixel_format == "yuv420p":
        return av.VideoFrame.from_ndarray(cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
    return av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")


class _Sink(io.BufferedWriter):
    """File object for FFmpeg that remembers its first error, which PyAV may replace by a vague one."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise


@contextlib.contextmanager
def _atomic(path: Path, expected_bytes: int) -> Iterator[_Sink]:
    """Open a temporary file beside `path`; fsync and rename it on success, delete it on any failure."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _Sink(io.FileIO(temporary, "wb")) as sink:
            try:
                yield sink
            except av.error.FFmpegError as error:
                raise sink.failure or error from error
            sink.flush()
            os.fsync(sink.fileno())
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
