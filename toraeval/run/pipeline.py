"""The main path: plan -> (floor) -> generate, track, score every sample -> rows -> folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from toraeval.run import closing, workers
from toraeval.run.costs import Costs
from toraeval.run.plan import Plan
from toraeval.run.queue import Engine, Here, Queue, Task, tasks_of
from toraeval.run.request import Sample
from toraeval.run.sample import Outcome, open_samples, without_video
from toraeval.run.stopping import stop_signals
from toraeval.store import lock
from toraeval.store.claims import Claims
from toraeval.store.disk import disk_use, require_space, require_writable
from toraeval.store.sealed import require_no_link, sweep
from toraeval.store.tables.run import RunResult
from toraeval.types import UserError

CACHE_SWEEP_S = 60.0  # writing a file of a cache takes less
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
class _Run:
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
    floor: _Run | None
    todo: list[Sample] = field(default_factory=list)
    cached: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    report: Report | None = None

    @property
    def label(self) -> str:
        return f"{self.plan.model} {self.plan.frames}f" if self.plan.frames else self.plan.model


def run(
    plan: Plan, progress: Progress | None = None, command: str | None = None, wait_s: float | None = None
) -> Report:
    """Bring one run up to date; see `run_all`."""
    return run_all([plan], progress, command, wait_s)[0]


def run_all(
    plans: Sequence[Plan],
    progress: Progress | None = None,
    command: str | None = None,
    wait_s: float | None = None,
) -> list[Report]:
    """Bring runs up to date: do what is missing and nothing else, all samples in one queue.

    Other processes may work in the same folders: what one of them has claimed or done is not done again.

    Args:
        plans: from `toraeval.run.plan`, with the same options besides model and length.
        progress: receives run events.
        command: for the record; the process's own command line by default.
        wait_s: how long to wait while another process prepares or closes a run folder; None is as long as it lives.

    Raises:
        UserError: a folder is not writable, too full, or in use by another process.
        MissingAsset: weights or a dependency are absent.
        KeyboardInterrupt: after what is finished has been written to the tables.
    """
    progress = progress or Progress()
    start = time.perf_counter()
    runs = _with_floors(plans)
    for one in runs:
        for folder in (one.plan.store.cases_dir, *(one.plan.slot(s).folder for s in one.plan.samples)):
            require_no_link(one.plan.options.results, folder)
        require_writable(one.plan.run_dir)
    with stop_signals(), Claims() as claims:
        closer = _Closer(runs, progress, command, start, wait_s)
        tasks = _prepared(runs, progress, wait_s)
        try:
            _work(runs, tasks, claims, closer, progress)
        except BaseException:  # also after Ctrl-C or a full disk, as far as possible
            closer.save()
            raise
        closer.close_rest()
    reports = {id(one.plan): one.report for one in runs}
    return [report for plan in plans if (report := reports[id(plan)]) is not None]


def _with_floors(plans: Sequence[Plan]) -> list[_Run]:
    """Return the runs of the plans and of their floors, each floor once and before what needs it."""
    floors: dict[Path, _Run] = {}
    runs = []
    for plan in plans:
        floor = plan.floor
        if floor is not None and floor.run_dir not in floors:
            floors[floor.run_dir] = _Run(floor, None)
        runs.append(_Run(plan, floors[floor.run_dir] if floor else None))
    return [*floors.values(), *runs]


def _prepared(runs: Sequence[_Run], progress: Progress, wait_s: float | None) -> list[Task]:
    """Clear away what killed processes left and return what is open; a sample that two runs ask for is done once.

    Raises:
        UserError: files of a version without checksums, or too little space.
    """
    tasks: list[Task] = []
    stages: dict[tuple[Path, str], set[str]] = {}
    costs = Costs([one.plan for one in runs])
    for one in reversed(runs):  # floors last: what a run of its own does for them counts there
        plan = one.plan
        with lock.hold(plan.run_dir, wait_s, progress.note):
            todo = _open(plan)
        for sample in todo:
            asked = stages.setdefault((plan.run_dir, sample.id), set())
            if not asked >= set(plan.options.stages):
                one.todo.append(sample)
                asked |= set(plan.options.stages)
        one.cached = len(plan.samples) - len(one.todo)
        tasks += tasks_of(plan, one.todo, costs)
    for results in {one.plan.options.results for one in runs}:
        here = [one for one in runs if one.plan.options.results == results]
        require_space(results, sum(estimate_bytes(one.plan, len(one.todo)) for one in here))
    for one in runs:
        cases = [sample.case for sample in without_video(one.plan, one.todo)]
        if cases:
            one.plan.generator.prepare_cases(cases)
    return tasks


def _open(plan: Plan) -> list[Sample]:
    plan.store.require_checksums()
    plan.store.sweep()
    for metric in plan.metrics.values():
        if metric.cache is not None:  # other runs may be writing into it
            sweep(metric.cache, least_age_s=CACHE_SWEEP_S)
    return open_samples(plan)


def _work(
    runs: Sequence[_Run], tasks: list[Task], claims: Claims, closer: _Closer, progress: Progress
) -> None:
    """Do every task, and close each run as soon as its last one is done."""
    plans, of_plan = [one.plan for one in runs], {id(one.plan): one for one in runs}
    asked = [one for one in runs if one.todo] or list(runs)
    label = asked[0].label if len(asked) == 1 else f"{len(asked)} runs"
    frames = sum(task.sample.case.frames for task in tasks)
    progress.start(label, len(tasks), frames, sum(one.cached for one in runs))
    closer.close_ready()
    number = workers.count(plans, tasks)
    with ExitStack() as stack:
        engine: Engine = Here()
        if number > 1:
            engine = stack.enter_context(workers.Workers(plans, number))
        for task, outcome in Queue(tasks, claims).work_off(engine):
            one = of_plan[id(task.plan)]
            one.outcomes[outcome.sample] = outcome
            progress.advance(outcome)
            closer.reopen(one)
            if outcome.failed and task.plan.options.fail_fast:
                return
            closer.close_ready()


class _Closer:
    """Writes tables and record of each run when every sample that they rest on is done.

    Args:
        runs: all, floors first.
        progress: receives what the record notes.
        command: for the records.
        start: when the command began, by `time.perf_counter`.
        wait_s: as of `run_all`.
    """

    def __init__(
        self,
        runs: Sequence[_Run],
        progress: Progress,
        command: str | None,
        start: float,
        wait_s: float | None,
    ) -> None:
        self._runs, self._progress, self._command = runs, progress, command
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

    def reopen(self, changed: _Run) -> None:
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

    def _is_done(self, one: _Run) -> bool:
        same = [other for other in self._runs if other.plan.run_dir == one.plan.run_dir]
        return all(len(other.outcomes) == len(other.todo) for other in same)

    def _close(self, one: _Run) -> None:
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

    def _write(self, one: _Run, finished: bool, wait_s: float | None) -> RunResult:
        with lock.hold(one.plan.run_dir, wait_s, self._progress.note):
            return closing.write(one.plan, list(one.outcomes.values()), self._command, self._start, finished)


def estimate_bytes(plan: Plan, num_samples: int) -> int:
    """Return a rough upper bound of what the samples still to be done will write.

    Lossless files of smooth clips were measured at a third of the raw size, previews below a twentieth.
    """
    raw = max((case.frames * case.height * case.width * 3 for _, case in plan.cases), default=0)
    share = {"lossless": 0.6, "preview": 0.05, "none": 0.01}[plan.options.keep]
    return int(num_samples * raw * (share if "score" in plan.options.stages else 0.6))
