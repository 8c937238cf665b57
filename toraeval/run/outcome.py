"""What became of a sample, in a form that travels between processes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

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
        exit_code: 0, or what the error asks for: 2 for the user's errors, 1 for anything else.
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
    exit_code: int = 0
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
