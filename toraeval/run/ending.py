"""A run at work, and its end: tables, record and report as soon as all that they rest on is done."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from toraeval.run import closing
from toraeval.run.outcome import Outcome
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.store import claims, lock, record
from toraeval.store.disk import disk_use
from toraeval.store.tables.run import RunResult
from toraeval.types import UserError

CLOSING_WAIT_S = 2.0  # for another process that writes the same tables, when this one is to stop


class Progress:
    """Receives run events and does nothing with them; the command line draws a bar."""

    def start(self, label: str, samples: int, frames: int, cached: int) -> None:
        """A run begins: its name, the samples and frames to be done, the samples that need nothing."""

    def advance(self, outcome: Outcome) -> None:
        """A sample is done."""

    def note(self, message: str) -> None:
        """Something that a reader should know."""


@dataclass(frozen=True)
class Report:
    """What `run` did.

    Attributes:
        result: rows of the samples that were asked for.
        outcomes: one per sample that was processed.
        cached: samples that needed nothing.
        floor: what the ground-truth run did, or None.
        disk_bytes: size of the run folder.
        scores: whether scoring was asked for.
    """

    result: RunResult
    outcomes: list[Outcome]
    cached: int
    floor: Report | None
    disk_bytes: int
    scores: bool

    @property
    def exit_code(self) -> int:
        """0; 1 if some samples failed or nothing was scored; 2 or 3 if none worked and the user can fix it."""
        failed = [outcome for outcome in self.outcomes if outcome.failed]
        if not failed:
            nothing_scored = self.scores and not (self.result.cases["status"] == "ok").any()
            return 1 if nothing_scored else self.floor.exit_code if self.floor else 0
        codes = {outcome.exit_code for outcome in failed}
        nothing_worked = self.cached == 0 and len(failed) == len(self.outcomes)
        return codes.pop() if nothing_worked and len(codes) == 1 else 1

    @property
    def computed(self) -> int:
        """Samples for which any stage ran, the floor's included."""
        own = sum(1 for outcome in self.outcomes if outcome.computed or outcome.failed)
        return own + (self.floor.computed if self.floor else 0)


@dataclass(eq=False)
class RunAtWork:
    """A plan at work.

    Attributes:
        plan: what is asked for.
        floor: the run of its floor, which is closed before it.
        todo: samples that are to be done for it; those of another run of this command are not among them.
        cached: samples that needed nothing.
        outcomes: of the samples that were processed.
        report: what it did, once it is closed.
    """

    plan: Plan
    floor: RunAtWork | None
    todo: list[Sample] = field(default_factory=list)
    cached: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    report: Report | None = None

    @property
    def label(self) -> str:
        """Model and length."""
        return f"{self.plan.model} {self.plan.frames}f" if self.plan.frames else self.plan.model


def plan_places(plans: Sequence[Plan]) -> dict[int, int]:
    """Return the place of each plan in a list, by its `id`: how other processes are told which one is meant."""
    return {id(plan): place for place, plan in enumerate(plans)}


class Closer:
    """Writes tables and record of each run when every sample that they rest on is done.

    Args:
        runs: all, floors first.
        progress: receives what the record notes.
        command: for the records; the process's own command line by default.
        start: when the command began, by `time.perf_counter`.
        wait_s: as of `run_all`.
    """

    def __init__(
        self,
        runs: Sequence[RunAtWork],
        progress: Progress,
        command: str | None,
        start: float,
        wait_s: float | None,
    ) -> None:
        self.command = command or record.command_line()
        self._runs, self._progress = runs, progress
        self._start, self._wait_s = start, wait_s

    def close_ready(self) -> None:
        """Close the runs whose samples, and those of their floors, are done."""
        for one in self._runs:
            if one.report is None and self._is_done(one) and (one.floor is None or one.floor.report):
                self._close(one)

    def close_rest(self) -> None:
        """Close what stopped before its end."""
        for one in self._runs:
            if one.report is None:
                self._close(one)

    def reopen(self, changed: RunAtWork) -> None:
        """Have the runs closed once more that a new outcome is a part of."""
        for one in self._runs:
            if one is changed or one.floor is changed:
                one.report = None

    def save(self) -> None:
        """Write what there is after an error, as far as possible, for the runs that something was done for."""
        for one in self._runs:
            if one.outcomes and one.report is None:
                with suppress(OSError, UserError):  # the first error tells more
                    self._write(one, finished=False, wait_s=CLOSING_WAIT_S)

    def _is_done(self, one: RunAtWork) -> bool:
        same = [other for other in self._runs if other.plan.run_dir == one.plan.run_dir]
        return all(len(other.outcomes) == len(other.todo) for other in same)

    def _close(self, one: RunAtWork) -> None:
        plan = one.plan
        result = self._write(one, self._is_done(one), self._wait_s)
        told = result.record["readings"]
        for text in dict.fromkeys(told.values()):
            samples = [sample for sample, said in told.items() if said == text]
            named = samples[0] if len(samples) == 1 else f"{len(samples)} clips ({samples[0]}, ...)"
            self._progress.note(f"{named}: {text}")
        outcomes = list(one.outcomes.values())
        elsewhere = sum(not outcome.computed and not outcome.failed for outcome in outcomes)
        floor = one.floor.report if one.floor else None
        scores = "score" in plan.options.stages
        one.report = Report(result, outcomes, one.cached + elsewhere, floor, disk_use(plan.run_dir), scores)

    def _write(self, one: RunAtWork, finished: bool, wait_s: float | None) -> RunResult:
        with lock.hold(one.plan.run_dir, wait_s, self._progress.note):
            claims.tidy(one.plan.run_dir)
            return closing.write(one.plan, list(one.outcomes.values()), self.command, self._start, finished)
