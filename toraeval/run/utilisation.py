"""How busy the stages were: what keeps a generator waiting is seen here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from toraeval.run.outcome import BUSY, Outcome
from toraeval.store.journal import Job


def of_outcomes(outcomes: Iterable[Outcome]) -> dict[str, Any] | None:
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
    return summed(busy, max(ended) - min(begun), processes)


def of_job(job: Job) -> dict[str, Any] | None:
    """Return the same of a command, from its start to the last sample that it ended."""
    lines = [line for line in job.ended if "busy_s" in line]
    if not lines:
        return None
    busy = {stage: sum(line["busy_s"].get(stage, 0.0) for line in lines) for stage in BUSY}
    return summed(busy, job.last - job.start, len({line["process"] for line in lines}))


def summed(busy_s: Mapping[str, float], seconds: float, processes: int) -> dict[str, Any]:
    """Return the same of sums."""
    whole = seconds * processes
    return {
        "processes": processes,
        "seconds": round(seconds, 3),
        "busy_s": {stage: round(spent, 4) for stage, spent in busy_s.items()},
        "share": {stage: round(spent / whole, 4) if whole > 0 else None for stage, spent in busy_s.items()},
    }


def line(use: Mapping[str, Any] | None) -> str:
    """Return how busy the stages were as a line, empty where that is not known."""
    if use is None or None in use["share"].values():
        return ""
    stages = ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in use["share"].items())
    where = "" if use["processes"] == 1 else f" in {use['processes']} processes"
    return f"busy: {stages} of {use['seconds']:.0f} s{where}"
