"""How far the commands on a results folder are, read from what they leave there; nothing is planned or computed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toraeval.store import claims, journal
from toraeval.store.journal import Job
from toraeval.store.slot import FAILURE, Slot
from toraeval.types import UserError


@dataclass(frozen=True)
class RunStatus:
    """How far one run is, in samples.

    Attributes:
        run: its folder.
        label: model and length.
        asked, running: how many; running ones are claimed by a process.
        left: that nobody has finished, the running ones among them.
        left_s: seconds of one core that they are expected to take.
        failed: sample -> why.
    """

    run: Path
    label: str
    asked: int
    running: int
    left: int
    left_s: float
    failed: dict[str, str]

    @property
    def done(self) -> int:
        """Samples with a result."""
        return self.asked - self.left - len(self.failed)


@dataclass(frozen=True)
class Status:
    """How far everything is.

    Attributes:
        runs: in the order they were asked for.
        jobs: those that may still run, or else the last one.
        left_s: seconds until the end at the speed so far, None if nobody works or nothing is known.
    """

    runs: list[RunStatus]
    jobs: list[Job]
    left_s: float | None


def of_results(results: Path) -> Status:
    """Return how far the commands on a results folder are.

    Raises:
        UserError: no command left anything there.
    """
    jobs = journal.read(results)
    if not jobs:
        raise UserError(
            f"{results}: no command has worked here yet; give the results folder of run, bench or score"
        )
    newest = {run: job for job in jobs for run in job.runs}
    runs = [_run(results, run, job, jobs) for run, job in newest.items()]
    current = [job for job in jobs if job.alive or (job.alive is None and _is_recent(job))]
    return Status(runs, current or jobs[-1:], _left_s(runs, current, time.time()))


def _is_recent(job: Job) -> bool:
    """Return True if a job of another machine has not finished all, and was heard of not long ago."""
    to_do = sum(len(facts["to_do"]) for facts in job.runs.values())
    longest = max((s for facts in job.runs.values() for s in facts["to_do"].values()), default=0.0)
    return len(job.ended) < to_do and time.time() - job.last < max(600.0, 5 * longest)


def _run(results: Path, run: str, job: Job, jobs: Sequence[Job]) -> RunStatus:
    facts, folder = job.runs[run], results / run
    lines = [line for other in jobs for line in other.ended if line["run"] == run and line["at"] >= job.start]
    ended = {line["sample"]: line["failed"] for line in sorted(lines, key=lambda line: line["at"])}
    failures = {name: Slot(folder / "cases" / name).failure() for name in facts["asked"]}
    working = claims.running(folder) & set(facts["to_do"])
    # one whose failure was taken away is to be done again
    left = [
        name
        for name in facts["to_do"]
        if name in working or name not in ended or (ended[name] and failures[name] is None)
    ]
    failed = {name: why["error"] for name, why in failures.items() if why and name not in left}
    left_s = sum(facts["to_do"][name] for name in left)
    return RunStatus(folder, facts["label"], len(facts["asked"]), len(working), len(left), left_s, failed)


def _left_s(runs: Sequence[RunStatus], current: Sequence[Job], now: float) -> float | None:
    """Return the seconds until the end: at the speed of the running jobs, else by what samples took before."""
    if not current:
        return None
    speeds = []
    for job in current:
        costs = [job.runs[line["run"]]["to_do"].get(line["sample"], 0.0) for line in job.ended]
        elapsed = max(1e-3, now - job.start)
        speeds.append(sum(costs) / elapsed if costs else 1.0)
    left = sum(one.left_s for one in runs)
    return left / sum(speeds) if sum(speeds) else None


def requeue(folder: Path, samples: Sequence[str]) -> list[tuple[Path, str]]:
    """Take away the failures of samples, so that they are tried again; returns run folder and name of each.

    Args:
        folder: of the results or of one run.
        samples: names; none for every failed one.

    Raises:
        UserError: no such folder, or a name without a failure.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the results folder or the folder of one run")
    found = sorted(folder.glob(f"cases/*/{FAILURE}")) or sorted(folder.glob(f"runs/*/*/*/cases/*/{FAILURE}"))
    failed = [(path.parents[2], path.parent.name) for path in found]
    unknown = set(samples) - {name for _, name in failed}
    if unknown:
        names = ", ".join(sorted({name for _, name in failed})) or "none"
        raise UserError(f"{sorted(unknown)[0]}: not a failed sample of {folder}; failed: {names}")
    taken = [(run, name) for run, name in failed if not samples or name in samples]
    for run, name in taken:
        if name not in claims.running(run):  # whoever works on it clears its failure or writes a new one
            Slot(run / "cases" / name).clear_failure()
    return taken
