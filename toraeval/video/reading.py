"""Reading clips: every frame is counted; damaged or cut-off files are refused, or marked where that is allowed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.types import ByteArray, UserError, Video, counted
from toraeval.video import animated_webp, timing
from toraeval.video.decoding import DamagedError, Decoded, Take, decode
from toraeval.video.opening import MAX_CLIP_BYTES, opened, require_bytes

READER_VERSION = "2"  # raised when the same file may give other frames


@dataclass(frozen=True)
class VideoProbe:
    """What a file's header claims, without decoding; the frame count may be wrong or absent (None).

    Attributes:
        width, height: stored size in pixels, before any rotation.
        fps: average rate the header states, or None.
        header_frames: frame count the header states, or None; `read_video` never trusts it.
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
        width, height: in pixels, as shown.
        frames: number of frames, held ones repeated.
        fps: frames per second, as `read_video` gives it.
        notes: what `read_video` assumes or changes, one clause each.
    """

    width: int
    height: int
    frames: int
    fps: float
    notes: tuple[str, ...] = field(default=(), compare=False)


def read_video(path: str | os.PathLike[str], allow_damaged: bool = False) -> Video:
    """Decode every frame of a video file to uint8 RGB, counting what decodes and not what the header says.

    Args:
        path: the file.
        allow_damaged: take what decodes of a damaged or cut file, and say so in `reading`.

    Returns:
        Video with `info`: `source`, `codec`, `pixel_format`, `decoded_frames`, `header_frames`,
        `variable_frame_rate` (True: `fps` is the mean rate, and scoring takes the frame index as time), `reading`
        (what was assumed or changed, one clause each) and, where the file asks for it, the `rotation_deg`
        (counterclockwise) that was applied.

    Raises:
        UserError: the file is absent, empty, no video, damaged, cut off, too large, has no frames or changes its size.
    """
    path = Path(path)
    buffer = _Buffer()
    decoded = _decode(path, buffer, allow_damaged)
    plan = _shown(path, decoded)
    frames = buffer.frames()
    if plan.repeats is not None:
        frames = np.repeat(frames, plan.repeats, axis=0)
    info: dict[str, Any] = {
        "source": path.name,
        "codec": decoded.codec,
        "pixel_format": decoded.pixel_format,
        "decoded_frames": len(decoded.stamps.times),
        "header_frames": decoded.header_frames,
        "variable_frame_rate": plan.variable,
    }
    if decoded.display.degrees:
        info["rotation_deg"] = decoded.display.degrees
    if plan.notes:
        info["reading"] = list(plan.notes)
    return Video.from_thwc(frames, plan.fps, info)


def read_frames(path: str | os.PathLike[str], numbers: Sequence[int]) -> tuple[ByteArray, int]:
    """Decode a whole file but convert only some of its frames.

    Args:
        path: the file.
        numbers: of the frames, ascending; those beyond the end are left out.

    Returns:
        uint8 RGB (K, H, W, C) as `read_video` gives them, and how many frames there are.

    Raises:
        UserError: as `read_video`.
    """
    path = Path(path)
    buffer = _Buffer()
    decoded = None if animated_webp.is_webp(path) else decode(path, buffer, wanted=frozenset(numbers))
    if decoded is None or _shown(path, decoded).repeats is not None:
        frames = read_video(path).thwc
        return frames[[t for t in numbers if t < len(frames)]], len(frames)
    return buffer.frames(), len(decoded.stamps.times)


def measure_video(path: str | os.PathLike[str], allow_damaged: bool = False) -> VideoFacts:
    """Decode a video file and keep no picture: size, number of frames and rate, as `read_video` would give them.

    Raises:
        UserError: as `read_video`.
    """
    path = Path(path)
    decoded = _decode(path, None, allow_damaged)
    plan = _shown(path, decoded)
    frames = sum(plan.repeats) if plan.repeats is not None else len(decoded.stamps.times)
    width, height = decoded.size
    return VideoFacts(width, height, frames, plan.fps, plan.notes)


def probe_video(path: str | os.PathLike[str]) -> VideoProbe:
    """Read a file's header only.

    Raises:
        UserError: the file is absent, empty or no video.
    """
    path = Path(path)
    if animated_webp.is_webp(path):
        return VideoProbe(*animated_webp.size(path), None, None, "webp", "rgb24")
    with opened(path) as (_, stream):
        context = stream.codec_context
        return VideoProbe(
            width=context.width,
            height=context.height,
            fps=float(stream.average_rate) if stream.average_rate else None,
            header_frames=stream.frames or None,
            codec=context.name,
            pixel_format=context.pix_fmt or "",
        )


class _Buffer:
    """Frames one after the other in one piece of memory, which grows where more decode than the file states."""

    def __init__(self) -> None:
        self.count, self.room, self._data = 0, 0, np.empty(0, np.uint8)
        self._place: ByteArray | None = None

    def expect(self, frames: int) -> None:
        """Make room for so many from the start; NumPy asks for large pages, which the first writes fill faster."""
        self.count, self.room = 0, frames

    def place(self, height: int, width: int) -> ByteArray:
        """Return where the next picture may be written, so that it need not be copied."""
        if self.count == 0:
            room = max(
                1, min(self.room, MAX_CLIP_BYTES // (3 * height * width))
            )  # what is stated may be wrong
            self._data = np.empty((room, height, width, 3), np.uint8)
        elif self.count == len(self._data):
            self._data = np.concatenate((self._data, np.empty_like(self._data)))
        self._place = self._data[self.count]
        return self._place

    def __call__(self, picture_HWC: ByteArray) -> None:
        if picture_HWC is not self._place:
            self.place(*picture_HWC.shape[:2])[:] = picture_HWC
        self._place = None
        self.count += 1

    def frames(self) -> ByteArray:
        return self._data[: self.count]


def _decode(path: Path, buffer: _Buffer | None, allow_damaged: bool) -> Decoded:
    reader = animated_webp.decode if animated_webp.is_webp(path) else decode
    take: Take | None = buffer
    try:
        return reader(path, take)
    except DamagedError as error:
        if not allow_damaged:
            raise UserError(
                f"{error}; copy or encode the file again, or score what decodes with allow_damaged=true"
            ) from error
        damage = str(error).removeprefix(f"{path}: ")
    decoded = reader(path, take, strict=False)
    decoded.notes.insert(0, f"DAMAGED FILE, {counted(len(decoded.stamps.times), 'frame')} taken ({damage})")
    return decoded


@dataclass(frozen=True)
class _Shown:
    fps: float
    variable: bool
    notes: tuple[str, ...]
    repeats: list[int] | None = None


def _shown(path: Path, decoded: Decoded) -> _Shown:
    """Settle frame rate and held frames."""
    stamps, notes = decoded.stamps, list(decoded.notes)
    fps, variable = timing.rate(stamps, decoded.header_rate, decoded.tagged_rate)
    held = timing.repeats(stamps) if decoded.animated and len(stamps.times) > 1 else None
    if held is not None and max(held[0]) > 1:
        counts, unit = held
        require_bytes(path, sum(counts), *decoded.size)
        extra = sum(counts) - len(counts)
        notes.append(
            f"{counted(extra, 'frame')} added where the file holds a picture longer than {unit:.3g} s, its shortest "
            "delay"
        )
        return _Shown(1 / unit, False, tuple(notes), counts)
    if variable:
        notes.append(f"variable frame rate: taken as {fps:.4g} frames per second, one after the other")
    return _Shown(fps, variable, tuple(notes))
