"""What became of a sample, in a form that travels between processes, and how busy the stages of many were."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toraeval.store.journal import Job
from toraeval.types import UserError


@dataclass(frozen=True)
class Outcome:
    """What became of one sample.

    Attributes:
        sample: its id.
        frames: its length.
        computed: stages that ran; empty when everything was cached.
        failed: True if it has a failure row.
        error: one line, empty unless failed.
        broken: True if the error leaves the process of no further use: memory or a GPU gave out.
        peak_mb: memory that its process took so far, if that is a worker.
        busy_s: seconds that each of `BUSY` took now.
        span: when work on it began and ended, by `time.perf_counter`.
        process: id of the process that worked on it, 0 if none did now.
    """

    sample: str
    frames: int
    computed: tuple[str, ...] = ()
    failed: bool = False
    error: str = ""
    broken: bool = False
    peak_mb: int = 0
    busy_s: Mapping[str, float] = field(default_factory=dict)
    span: tuple[float, float] = (0.0, 0.0)
    process: int = 0


BUSY = ("generate", "encode", "track", "score")
"""What a process does for a sample, one after the other; `encode` is writing and hashing the files of its clip."""


def is_broken(error: BaseException) -> bool:
    """Return True for an error after which this process cannot be trusted: no memory, or one of CUDA, which stay.

    A UserError that quotes one tells of another process, e.g. of a model's own environment.
    """
    torch = sys.modules.get("torch")
    no_memory = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    told = not isinstance(error, UserError) and "CUDA error" in str(error)
    return isinstance(error, no_memory) or told


def error_line(error: BaseException) -> str:
    """Return an error as one line; the user's errors without the name of their class."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def utilisation(outcomes: Iterable[Outcome]) -> dict[str, Any] | None:
    """Return how busy the processes were from the first of these samples to the last; None if nothing was computed.

    Returns:
        `processes`, `seconds` from first to last, `busy_s` of each stage, and its `share`: of the seconds of all
        processes, 0 to 1, None where these are not known. Shares of stages that overlap add up to more than 1.
    """
    worked = [outcome for outcome in outcomes if outcome.computed]
    if not any(outcome.process for outcome in worked):
        return None
    begun, ended = zip(*(outcome.span for outcome in worked if outcome.process), strict=True)
    busy = {stage: sum(outcome.busy_s.get(stage, 0.0) for outcome in worked) for stage in BUSY}
    processes = len({outcome.process for outcome in worked if outcome.process})
    return _summed(busy, max(ended) - min(begun), processes)


def utilisation_of(job: Job) -> dict[str, Any] | None:
    """Return the same of a command, from its start to the last sample that it ended."""
    lines = [line for line in job.ended if "busy_s" in line]
    if not lines:
        return None
    busy = {stage: sum(line["busy_s"].get(stage, 0.0) for line in lines) for stage in BUSY}
    return _summed(busy, job.last - job.start, len({line["process"] for line in lines}))


def _summed(busy_s: Mapping[str, float], seconds: float, processes: int) -> dict[str, Any]:
    """Return the same of sums."""
    whole = seconds * processes
    return {
        "processes": processes,
        "seconds": round(seconds, 3),
        "busy_s": {stage: round(spent, 4) for stage, spent in busy_s.items()},
        "share": {stage: round(spent / whole, 4) if whole > 0 else None for stage, spent in busy_s.items()},
    }


def busy_line(use: Mapping[str, Any] | None) -> str:
    """Return how busy the stages were as a line, empty where that is not known."""
    if use is None or None in use["share"].values():
        return ""
    stages = ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in use["share"].items())
    where = "" if use["processes"] == 1 else f" in {use['processes']} processes"
    return f"busy: {stages} of {use['seconds']:.0f} s{where}"
