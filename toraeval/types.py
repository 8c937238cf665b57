"""The data that travels along the main path: case, trajectories, video, tracks, score; and what all parts offer.

Shape legend: N objects (or points), T frames, C channels, H height, W width.
Coordinates are `(x, y)` float pixels, origin top-left, pixel centres at integers;
see `toraeval.geometry`, which owns every conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
TEMPORARY = ".tmp-"
"""Start of the names of unfinished files, which a killed process leaves behind."""


class UserError(Exception):
    """A problem the user can fix: one clear message, no traceback, exit code 2."""

    exit_code = 2


class MissingAsset(UserError):
    """A dependency, weight file or external program is absent; exit code 3."""

    exit_code = 3


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 case`, `2 cases`.

    Args:
        count: how many.
        noun: of one; of several words the last one changes.
    """
    return f"{count} {noun}{'' if count == 1 else 'es' if noun.endswith(('s', 'x')) else 's'}"


def be(count: int) -> str:
    """Return the verb that goes with a number of things."""
    return "is" if count == 1 else "are"


def one_line(error: BaseException, longest: int = 200) -> str:
    """Return what an error says as one line of bounded length; its kind where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= longest else text[: longest - 3] + "..."


@dataclass(frozen=True)
class Trajectories:
    """Paths of N objects over T moments on a stated canvas.

    Attributes:
        tracks_NT2: float64 `(x, y)` pixels of the canvas.
        visible_NT: bool, False where the object is hidden or outside.
        canvas: `(width, height)` in pixels.
        fps: frames per second, or None when the source states none.
        source: file or generator that the paths came from, for error messages and records.
        names: one label per object, possibly empty strings.
        notes: what the reader assumed, converted or left out, one sentence each; printed and stored.
    """

    tracks_NT2: FloatArray
    visible_NT: BoolArray
    canvas: tuple[int, int]
    fps: float | None = None
    source: str = ""
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        tracks = np.asarray(self.tracks_NT2, dtype=np.float64)
        if tracks.ndim != 3 or tracks.shape[-1] != 2 or tracks.shape[0] < 1:
            raise UserError(
                f"{self.source or 'trajectories'}: expected an array (N, T, 2) with N >= 1, got {tracks.shape}"
            )
        if not np.isfinite(tracks).all():
            raise UserError(f"{self.source or 'trajectories'}: coordinates must be finite numbers")
        visible = np.asarray(self.visible_NT, dtype=bool)
        if visible.shape != tracks.shape[:2]:
            raise UserError(
                f"{self.source or 'trajectories'}: visibility {visible.shape} does not match tracks {tracks.shape[:2]}"
            )
        object.__setattr__(self, "tracks_NT2", tracks)
        object.__setattr__(self, "visible_NT", visible)

    @property
    def num_objects(self) -> int:
        return int(self.tracks_NT2.shape[0])

    @property
    def num_frames(self) -> int:
        return int(self.tracks_NT2.shape[1])


@dataclass(frozen=True)
class Video:
    """Frames in memory, exactly as generated.

    Attributes:
        frames_TCHW: uint8 RGB; any strides (usually a transposed view of contiguous THWC memory).
        fps: frames per second.
        info: how the clip came to be, e.g. requested, generated and native frame counts,
            long-video mode, seams, device, precision. JSON-serialisable.
    """

    frames_TCHW: ByteArray
    fps: float
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        f = self.frames_TCHW
        if f.ndim != 4 or f.shape[1] != 3 or f.dtype != np.uint8 or f.shape[0] < 1:
            raise UserError(f"video: expected uint8 frames (T, 3, H, W) with T >= 1, got {f.dtype} {f.shape}")

    @classmethod
    def from_thwc(cls, frames_THWC: ByteArray, fps: float, info: Mapping[str, Any] | None = None) -> Video:
        return cls(np.asarray(frames_THWC).transpose(0, 3, 1, 2), fps, dict(info or {}))

    @property
    def thwc(self) -> ByteArray:
        """The frames as THWC (a view)."""
        return self.frames_TCHW.transpose(0, 2, 3, 1)

    @property
    def num_frames(self) -> int:
        return int(self.frames_TCHW.shape[0])

    @property
    def height(self) -> int:
        return int(self.frames_TCHW.shape[2])

    @property
    def width(self) -> int:
        return int(self.frames_TCHW.shape[3])


@dataclass(frozen=True)
class Reference:
    """The exact answer of a procedural case: the rendered clip and its object masks.

    Attributes:
        video: the ground-truth render.
        masks: renders bool (N, T, H, W), the visible pixels of each object, on demand;
            None where the suite has no masks.
    """

    video: Video
    masks: Callable[[], BoolArray] | None = None


@dataclass(frozen=True)
class Case:
    """One test case at one length and size.

    Attributes:
        id: stable name inside the suite, safe as a folder name; the same for every length.
        suite: name and version of the suite, e.g. `shapes-v2`.
        prompt: the caption as given.
        trajectories: target paths, already on the `(width, height)` canvas with `frames` moments.
        frames, height, width, fps: what is requested from the generator.
        seed: case seed (the suite's own, not the sampling seed).
        first_frame_HWC: uint8 first frame, or None for text-only cases.
        last_frame_HWC: uint8 last frame, or None; only together with a first frame.
        camera: paths of background points that show the camera's motion, on the same canvas and moments as
            `trajectories`; generators get them as further paths, metrics never see them.
        tags: facts for grouping, e.g. path family, number of objects. JSON-serialisable.
        reference: renders the ground truth on demand, or None where the suite has none.
        second_take: reads another real clip of the same scene, or None: how far apart two real takes are.
        reference_frames: renders frames of the ground truth, given their numbers, as uint8 (K, H, W, C), or None where
            only the whole clip can be had.
        content_hash: SHA-256 over everything above that a generator can see.
        no_reference: why a reference that was given is not used, empty where none was.
    """

    id: str
    suite: str
    prompt: str
    trajectories: Trajectories
    frames: int
    height: int
    width: int
    fps: float
    seed: int
    first_frame_HWC: ByteArray | None = None
    last_frame_HWC: ByteArray | None = None
    camera: Trajectories | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    reference: Callable[[], Reference] | None = None
    content_hash: str = ""
    second_take: Callable[[], Video] | None = None
    reference_frames: Callable[[npt.NDArray[np.int64]], ByteArray] | None = None
    no_reference: str = ""


@dataclass(frozen=True)
class Tracks:
    """What a tracker saw.

    Attributes:
        tracks_NT2: float64 `(x, y)` pixels of the tracked video; finite everywhere
            (a lost point keeps its last or predicted place and is marked not visible).
        visible_NT: bool, the tracker's own belief.
        confidence_NT: float in [0, 1], or None.
        info: tracker name, version, weights hash, options. JSON-serialisable.
    """

    tracks_NT2: FloatArray
    visible_NT: BoolArray
    confidence_NT: FloatArray | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """What a metric says of one case.

    Attributes:
        metric: registry name.
        version: version of the definition.
        values: named numbers; a value that could not be computed is absent, never 0.
        arrays: per-object per-frame arrays from which every mean can be derived again.
        skipped: reason why the metric did not run, or None.
    """

    metric: str
    version: str
    values: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, FloatArray] = field(default_factory=dict)
    skipped: str | None = None


@dataclass(frozen=True)
class Requirement:
    """One thing that a part needs.

    Attributes:
        what: the thing, e.g. `weights cotracker3_offline`.
        needed_by: the part, e.g. `tracker cotracker3_offline`.
        present: whether it is there.
        command: what gets it.
        reason: what was found instead, one line.
        licence: what using it accepts, empty where unknown.
        size_mb: size of the download, or None where unknown.
    """

    what: str
    needed_by: str
    present: bool
    command: str = ""
    reason: str = ""
    licence: str = ""
    size_mb: int | None = None


class Part:
    """What models, suites, trackers and metrics have in common.

    Attributes:
        name: registry name.
    """

    __slots__ = ()  # any class can be given this base afterwards

    name: str

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes what the part gives: version, options, hash of the weights; JSON-able."""
        raise NotImplementedError(f"{self.name} has no fingerprint")

    def requirements(self) -> Sequence[Requirement]:
        """Return what the part needs before anything runs, besides what its registry line says."""
        return ()
