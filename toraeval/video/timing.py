"""From time stamps to a frame rate, and from held pictures to frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A step counts as uneven beyond this part of the usual one, or this number of ticks of the clock.
_UNEVEN, _TICKS = 0.1, 2.5
MAX_REPEATS = 4096


@dataclass(frozen=True)
class Stamps:
    """When the frames of a file are shown.

    Attributes:
        times: seconds, None where the file states none.
        durations: seconds, None where the file states none.
        tick: resolution of the file's clock in seconds.
    """

    times: list[float | None]
    durations: list[float | None]
    tick: float

    @property
    def end(self) -> float | None:
        """When the last frame ends, as far as known."""
        shown = [
            (time, duration or 0.0)
            for time, duration in zip(self.times, self.durations, strict=True)
            if time is not None
        ]
        return max((time + duration for time, duration in shown), default=None)


def rate(stamps: Stamps, header: float | None, tagged: float | None) -> tuple[float, bool]:
    """Return frames per second and whether the time stamps are uneven (beyond rounding to the clock).

    Args:
        stamps: of every frame.
        header: rate that the file's header states.
        tagged: exact rate in a tag of our own.
    """
    known = [time for time in stamps.times if time is not None]
    stated = tagged or header or 1.0
    if len(known) < 2 or len(known) != len(stamps.times):
        return stated, False
    steps = np.diff(known)
    typical = float(np.median(steps))
    span = known[-1] - known[0]
    if span <= 0:
        return stated, True
    mean = (len(known) - 1) / span
    if float(np.abs(steps - typical).max()) > max(_UNEVEN * typical, _TICKS * stamps.tick):
        return mean, True
    for value in (tagged, header):
        # The header rate is exact where the time stamps are rounded, but some muxers state nonsense.
        if value and abs(value * span - (len(known) - 1)) <= max(0.02 * len(known), 0.5):
            return value, False
    return mean, False


def repeats(stamps: Stamps) -> tuple[list[int], float] | None:
    """Return how often each picture is shown, in units of the shortest delay, and that unit in seconds.

    Animated pictures store a pause as one picture with a long delay. None where the delays are not multiples of a
    unit, or are not stated.
    """
    if any(not duration for duration in stamps.durations):
        return None
    delays = np.array(stamps.durations, dtype=np.float64)
    counts = np.maximum(1, np.round(delays / delays.min()))
    unit = float(delays.sum() / counts.sum())
    counts = np.maximum(1, np.round(delays / unit))
    unit = float(delays.sum() / counts.sum())
    allowed = np.maximum(_UNEVEN * unit, _TICKS * stamps.tick) * np.sqrt(counts)
    if counts.sum() > MAX_REPEATS or np.any(np.abs(delays - counts * unit) > np.minimum(allowed, 0.4 * unit)):
        return None
    return [int(count) for count in counts], unit
