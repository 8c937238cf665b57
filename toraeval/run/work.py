"""One sample at work: its frames, what is known of it so far, what it took, and how the work is stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType
from typing import Any

from toraeval.metrics.shared.reference import share_reference
from toraeval.run.outcome import BUSY
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.types import Case, UserError, Video, counted
from toraeval.video import video_sha256

_GENERATING = (
    threading.Lock()
)  # a clip that was not kept may have to be made again while the next one is made


class Terminated(KeyboardInterrupt):
    """The process was asked to end; as after Ctrl-C, what is finished is kept."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def stop_signals() -> Iterator[None]:
    """Let the first SIGTERM end the block by an exception and ignore further ones; other threads leave it alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Stopped(Exception):
    """The command is to end, so that no further stage of a sample is begun."""


@dataclass
class Work:
    """One sample at work.

    Attributes:
        plan, sample: what is asked for.
        is_stopped: says whether the command is to end.
        slot: where it is kept.
        computed: the stages that ran.
        video: its frames, once they are made or read.
        made_s: seconds that it took to make them, None if they were not made.
        meta: `video.json`, once it is there.
        error: what ended the work on it.
        busy_s: as of `Outcome`.
        begun: as of `Outcome.span`.
    """

    plan: Plan
    sample: Sample
    is_stopped: Callable[[], bool] = lambda: False
    computed: list[str] = field(default_factory=list)
    video: Video | None = None
    made_s: float | None = None
    meta: dict[str, Any] | None = None
    error: BaseException | None = None
    busy_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(BUSY, 0.0))
    begun: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.slot = self.plan.slot(self.sample)

    @cached_property
    def key(self) -> str:
        """The key of its video."""
        return self.plan.video_key(self.sample)

    @cached_property
    def case(self) -> Case:
        """The case, whose ground truth is rendered at most once for the clip and for what is compared with it."""
        return share_reference(self.sample.case)

    def do(self, step: Step, caught: type[BaseException] = Exception) -> None:
        """Do a step, unless an error ended an earlier one; an error of this one is kept for `settle`."""
        if self.error is None:
            try:
                step(self)
            except caught as error:
                self.error = error

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Count the seconds of a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.busy_s[what] += time.perf_counter() - start

    def make(self) -> tuple[Video, float]:
        """Generate the clip; returns it and how many seconds that took.

        Raises:
            UserError: it has another length or size than the case asks for.
        """
        case = self.case
        with _GENERATING:
            generator = self.plan.ready_generator
            start = time.perf_counter()
            video = generator.generate(case, self.sample.seed)
            seconds = time.perf_counter() - start
            self.busy_s["generate"] += seconds
        if (video.num_frames, video.height, video.width) != (case.frames, case.height, case.width):
            raise UserError(
                f"case {case.id}: {self.plan.model} returned {counted(video.num_frames, 'frame')} of "
                f"{video.width}x{video.height}, expected {case.frames} of {case.width}x{case.height}"
            )
        self.video = video
        return video, seconds

    def frames_of(self, meta: dict[str, Any]) -> Video:
        """Return the clip that `meta` describes: from memory, from its file, or generated again.

        Raises:
            UserError: generated again, it is another clip.
        """
        self.video = self.video or self.slot.load_video(meta["sha256"])
        if self.video is None:
            found = video_sha256(self.make()[0])
            if found != meta["sha256"]:
                self.video = None
                raise UserError(
                    f"case {self.sample.case.id}: generated again, the video hashes to {found[:12]} instead of "
                    f"{meta['sha256'][:12]}: {self.plan.model} does not repeat itself on this machine; "
                    f"delete {self.slot.folder} to start this case over"
                )
        assert self.video is not None
        return self.video


Step = Callable[[Work], None]
