"""Decoding every frame of a file, counting what was asked of the decoder and what came back."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from toraeval.types import ByteArray, UserError, counted
from toraeval.video import structure
from toraeval.video.colours import Converter
from toraeval.video.display import Display, UnsupportedMatrixError, display_of
from toraeval.video.opening import MAX_CLIP_BYTES, opened, reason, require_bytes
from toraeval.video.timing import Stamps
from toraeval.video.writing import FPS_TAG, FRAMES_TAG

# Formats whose header states a duration; elsewhere FFmpeg guesses one from the end of the file.
_STATE_DURATION = frozenset({"matroska", "webm", "flv", "asf", "ivf", "mxf"})
_STATE_NOTHING = frozenset(
    {"mpegts", "mpeg", "h264", "hevc", "m4v", "mpegvideo", "mjpeg", "obu", "av1", "dv", "vc1"}
)
_ANIMATED = ("gif", "apng")
_MPEG4_SKIP_BYTES = 8  # a picture that says "as before" is stored in fewer


class DamagedError(UserError):
    """A file that does not decode to what it states; with `allow_damaged` it is read all the same."""


@dataclass
class Decoded:
    """What decoding a file showed.

    Attributes:
        stamps: when its frames are shown.
        size: width and height as shown.
        display: how they were turned.
        animated: whether its pictures have delays of their own.
        codec, pixel_format: FFmpeg names.
        header_frames: frames its header states, or None.
        header_rate, tagged_rate: frames per second that header and own tag state, or None.
        notes: what was assumed or changed.
    """

    stamps: Stamps
    size: tuple[int, int]
    display: Display
    animated: bool
    codec: str
    pixel_format: str | None
    header_frames: int | None
    header_rate: float | None
    tagged_rate: float | None
    notes: list[str] = field(default_factory=list)


class Take(Protocol):
    """Gets the pictures of a file; it copies what it keeps."""

    def expect(self, frames: int) -> None:
        """Begin with a file of which so many are stated; 0 where nothing is."""

    def place(self, height: int, width: int) -> ByteArray:
        """Return an array (H, W, 3) that the next picture may be written into before it is taken."""

    def __call__(self, picture_HWC: ByteArray, /) -> None:
        """Take the next one, uint8 RGB (H, W, 3)."""


def decode(
    path: Path, take: Take | None, strict: bool = True, wanted: Container[int] | None = None
) -> Decoded:
    """Decode a file; `take` gets each frame as uint8 RGB (H, W, C), as it is to be shown.

    Args:
        path: the file.
        take: None where the pictures are not wanted.
        strict: refuse damage; otherwise whatever decodes is taken.
        wanted: numbers of the frames that `take` gets; None is all.

    Raises:
        DamagedError: damaged or cut off.
        UserError: no video, no frames, frames of several sizes or too large, or turned by an odd angle.
    """
    with opened(path, strict) as (container, stream):
        found = _Frames(path, stream, take, wanted)
        require_bytes(path, stream.frames, stream.codec_context.width, stream.codec_context.height)
        if take is not None:
            take.expect(_stated(container, stream) if wanted is None else 0)
        try:
            if strict:
                _refuse_faults(path, container)
            found.run(container, strict)
        except (av.error.FFmpegError, OSError, IndexError) as error:  # IndexError: a stream begins late
            raise DamagedError(
                f"{path}: damaged after {counted(len(found.times), 'frame')}: {reason(error)}"
            ) from error
        if not found.times:
            raise UserError(f"{path}: no frame could be decoded")
        made = found.summary(container)
        if strict:
            found.refuse_missing(container, made)
        return made


def _stated(container: InputContainer, stream: VideoStream) -> int:
    tagged = number(container.metadata.get(FRAMES_TAG))
    return stream.frames or (int(tagged) if tagged is not None and 0 < tagged < MAX_CLIP_BYTES else 0)


def _refuse_faults(path: Path, container: InputContainer) -> None:
    wrong = structure.fault(path, container.format.name)
    if wrong:
        raise DamagedError(f"{path}: {wrong}")


class _Frames:
    """Counts of one pass through a file."""

    def __init__(
        self, path: Path, stream: VideoStream, take: Take | None, wanted: Container[int] | None
    ) -> None:
        self.path, self.stream, self.take, self.wanted = path, stream, take, wanted
        self.converter = Converter()
        self.times: list[float | None] = []
        self.durations: list[float | None] = []
        self.size, self.stored = (0, 0), (0, 0)
        self.display = Display()
        self.packets = self.expected = 0
        self.interlaced = self.transparent = False

    def run(self, container: InputContainer, strict: bool) -> None:
        # Threads drop the errors of single frames: the count of packets finds them, and the lenient pass does without.
        # The VP8 decoder reports a damaged frame only without frame threads; otherwise it paints over it.
        vp8 = self.stream.codec_context.name == "vp8"
        self.stream.thread_type = ("SLICE" if vp8 else "AUTO") if strict else "NONE"
        for packet in _packets(container, self.stream, strict):
            if packet.size:
                self.packets += 1
                self.expected += _shows_a_frame(packet, self.stream.codec_context.name)
                if strict and packet.is_corrupt:
                    raise DamagedError(
                        f"{self.path}: damaged: packet {self.packets - 1} is cut off or incomplete"
                    )
            for frame in _decoded(packet, strict):
                self._frame(frame, strict)

    def _frame(self, frame: av.VideoFrame, strict: bool) -> None:
        index = len(self.times)
        if strict and frame.is_corrupt:
            raise DamagedError(f"{self.path}: frame {index} is damaged")
        stored = (frame.width, frame.height)
        try:
            display = display_of(frame)
        except UnsupportedMatrixError as error:
            raise UserError(f"{self.path}: {error}; encode it upright") from error
        if index == 0:
            self.stored, self.display, self.size = stored, display, display.size(*stored)
        elif stored != self.stored or display != self.display:
            raise UserError(
                f"{self.path}: frame {index} is {stored[0]}x{stored[1]} after {self.stored[0]}x{self.stored[1]}"
                f"{'' if display == self.display else ' and turned otherwise'}; allowed is one size for the whole clip"
            )
        require_bytes(self.path, index + 1, *stored)
        self.interlaced |= frame.interlaced_frame
        self.times.append(frame.time)
        self.durations.append(_duration(frame))
        if self.take is not None and (self.wanted is None or index in self.wanted):
            picture, transparent = self.converter.to_rgb(
                frame, self.take.place if display == Display() else None
            )
            self.transparent |= transparent
            self.take(display.apply(picture))

    def summary(self, container: InputContainer) -> Decoded:
        stream, context = self.stream, self.stream.codec_context
        header = float(stream.average_rate or stream.guessed_rate or 0)
        notes = [self.display.note] if self.display.note else []
        videos = [other for other in container.streams.video if not other.disposition & _STILL]
        if len(videos) > 1 or stream.index != container.streams.video[0].index:
            notes.append(f"stream {stream.index} of {len(container.streams.video)} video streams")
        if self.transparent:
            notes.append("transparent pixels laid over white")
        if self.interlaced:
            notes.append("interlaced, taken as whole frames")
        aspect = stream.sample_aspect_ratio
        if aspect and aspect != 1:
            notes.append(f"pixels of shape {aspect} taken as square")
        return Decoded(
            stamps=Stamps(self.times, self.durations, float(stream.time_base or 0)),
            size=self.size,
            display=self.display,
            animated=container.format.name in _ANIMATED,
            codec=context.name,
            pixel_format=context.pix_fmt,
            header_frames=stream.frames or None,
            header_rate=header or None,
            tagged_rate=number(container.metadata.get(FPS_TAG)),
            notes=notes,
        )

    def refuse_missing(self, container: InputContainer, made: Decoded) -> None:
        """Compare what decoded with what packets, index, header and tags promise."""
        frames, names = len(self.times), container.format.name.split(",")
        if _STATE_NOTHING.intersection(names):
            made.notes.append(
                f"{container.format.name} states no length: a file cut between two pictures looks like a whole one"
            )
        if frames < self.expected and not self.interlaced:
            raise DamagedError(
                f"{self.path}: damaged: {frames} of {counted(self.expected, 'stored frame')} decode"
            )
        stated = len(self.stream.index_entries) if "mov" in names else 0
        if "avi" in names:
            stated = self.stream.frames
        rate, base = self.stream.average_rate, self.stream.time_base
        if "mxf" in names and rate and base and rate * base == 1:  # its duration is a count of frames
            stated = self.stream.duration or 0
        tagged = number(container.metadata.get(FRAMES_TAG))
        if self.packets < stated:
            raise DamagedError(
                f"{self.path}: the file is cut off: its header states {counted(stated, 'frame')}, {self.packets} are "
                "there"
            )
        if tagged is not None and int(tagged) != frames:
            raise DamagedError(
                f"{self.path}: the file is cut off: {frames} of {counted(int(tagged), 'frame')} decode; delete it "
                "and run the "
                "command again"
            )
        duration = self._stated_end(container) if _STATE_DURATION.intersection(names) else None
        end = made.stamps.end
        if duration is None or end is None:
            return
        step = 1 / made.header_rate if made.header_rate else 0.1
        longest = max((value or 0 for value in self.durations), default=0.0)
        if duration - end > 1.5 * max(step, longest) + 0.01:
            raise DamagedError(
                f"{self.path}: the file is cut off: it states {duration:.2f} s, "
                f"{frames} frames until {end:.2f} s decode"
            )

    def _stated_end(self, container: InputContainer) -> float | None:
        """Return when the last frame ends according to the header, in seconds, or None where sound may end later."""
        clock = self.stream.metadata.get("DURATION")
        if clock:
            with contextlib.suppress(ValueError):
                hours, minutes, seconds = clock.split(":")
                return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if len(container.streams) > 1 or not container.duration:
            return None
        return float(container.duration) / av.time_base


_STILL = 0x0400 | 0x0800  # AV_DISPOSITION_ATTACHED_PIC, AV_DISPOSITION_TIMED_THUMBNAILS


def _packets(container: InputContainer, stream: VideoStream, strict: bool) -> Iterator[av.Packet[Any]]:
    try:
        yield from container.demux(stream)
    except (av.error.FFmpegError, OSError, IndexError):
        if strict:
            raise


def _decoded(packet: av.Packet[Any], strict: bool) -> Iterator[av.VideoFrame]:
    if strict:
        yield from packet.decode()  # type: ignore[misc]
        return
    with contextlib.suppress(av.error.FFmpegError):
        yield from packet.decode()  # type: ignore[misc]


def _shows_a_frame(packet: av.Packet[Any], codec: str) -> bool:
    """Tell packets that are decoded and shown from those that an edit list or the codec hides."""
    if packet.is_discard:
        return False
    if codec.startswith("vp8") or codec == "libvpx":
        return bool(bytes(packet)[0] & 0x10)  # show_frame
    return not (codec == "mpeg4" and packet.size <= _MPEG4_SKIP_BYTES)


def _duration(frame: av.VideoFrame) -> float | None:
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else None


def number(text: str | None) -> float | None:
    """Return a tag's number, or None where there is none or it is damaged."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
