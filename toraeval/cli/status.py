"""`status`: how far the commands on a results folder are."""

from __future__ import annotations

import time
from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Say how far the commands on a results folder are: done, running, failed, time left. It may be another terminal
or machine; nothing is computed.

  python -m toraeval status results
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code: 1 if samples failed."""
    words, _ = split("status", argv, {})
    if len(words) > 1:
        raise UserError("status: give one results folder, e.g. python -m toraeval status results")
    from tabulate import tabulate

    from toraeval.run.outcome import busy_line, utilisation_of
    from toraeval.run.status import of_results

    status = of_results(Path(words[0] if words else "results"))
    counts = [[one.asked, one.done, one.running, len(one.failed), one.left] for one in status.runs]
    rows = [[one.label, *count] for one, count in zip(status.runs, counts, strict=True)]
    print(tabulate(rows, headers=["run", "asked", "done", "running", "failed", "left"], tablefmt="github"))
    for one in status.runs:
        for sample, why in one.failed.items():
            print(f"failed: {one.run / 'cases' / sample}: {why}")
    asked, done, running, failed, left = map(sum, zip(*counts, strict=True))
    print(
        f"{done} of {asked} done, {running} running, {failed} failed, {left} left{_time(status.left_s, left)}"
    )
    for job in status.jobs:
        told = f"last sample {time.time() - job.last:.0f} s ago" if job.last > job.start else "no sample yet"
        state = {True: "running", False: "ended", None: "on another machine"}[job.alive]
        print(f"{job.place}, {state}, {told}: {job.command}")
        if busy := busy_line(utilisation_of(job)):
            print(busy)
    return int(bool(failed))


def _time(seconds: float | None, left: int) -> str:
    if not left or seconds is None:
        return ""
    return f", about {seconds:.0f} s" if seconds < 120 else f", about {seconds / 60:.0f} minutes"
