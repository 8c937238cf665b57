"""One queue for every sample of every plan: longest first, each model in as few processes as possible."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from toraeval.run.costs import Costs, model_of
from toraeval.run.outcome import Outcome
from toraeval.run.plan import FLOOR, Plan
from toraeval.run.request import Sample
from toraeval.run.sample import is_current
from toraeval.store.claims import Claims
from toraeval.store.sealed import sweep
from toraeval.store.slot import FAILURE
from toraeval.types import UserError, counted

POLL_S = 0.5
"""How often a sample that another process works on is looked at again."""
HOPELESS = 6
"""Processes that may die before any sample is finished."""
ATTEMPTS = 2
"""Processes that may die over one sample before it is recorded as failed."""


@dataclass(frozen=True, eq=False)
class Task:
    """One sample of one plan.

    Attributes:
        plan, sample: what is to be done.
        model: what tells its loaded model from others.
        cost_s: seconds that it is expected to take on one core.
        failed_at: state of the failure that is stored of it, None without one: a newer one is another process's.
    """

    plan: Plan
    sample: Sample
    model: str
    cost_s: float
    failed_at: int | None


@dataclass(frozen=True)
class Ended:
    """How a task ended in its process.

    Attributes:
        task: which.
        outcome: of the sample, or None where the process died before it had one.
        died: how it died, or why it is of no further use; empty otherwise.
    """

    task: Task
    outcome: Outcome | None
    died: str = ""


class WorkEngine(Protocol):
    """Processes that do tasks."""

    def idle(self) -> list[str]:
        """Return the model that each process without a task has loaded, empty for none."""

    def busy(self) -> set[str]:
        """Return the models of the tasks that are being done."""

    def give(self, task: Task) -> None:
        """Hand a task to an idle process, one with its model loaded if there is one."""

    def ended(self, timeout_s: float | None) -> list[Ended]:
        """Wait until a task ends, no longer than that, and return those that did."""


def tasks_of(plan: Plan, samples: Sequence[Sample], costs: Costs) -> list[Task]:
    """Return the tasks of a plan."""
    model = model_of(plan)
    return [Task(plan, each, model, costs.guess(plan, each), failure_state(plan, each)) for each in samples]


def failure_state(plan: Plan, sample: Sample) -> int | None:
    """Return what tells one stored failure of a sample from the next, or None if there is none."""
    try:
        return (plan.slot(sample).folder / FAILURE).stat().st_mtime_ns
    except OSError:
        return None


def settled_elsewhere(task: Task) -> Outcome | None:
    """Return the outcome of a sample that another process has finished, or None."""
    name, frames = task.sample.id, task.sample.case.frames
    if is_current(task.plan, task.sample):
        return Outcome(name, frames)
    failure = task.plan.slot(task.sample).failure()
    if failure is not None and failure_state(task.plan, task.sample) != task.failed_at:
        return Outcome(name, frames, failed=True, error=failure["error"])
    return None


def given_up(task: Task, line: str) -> Outcome:
    """Store that a sample failed with its process, and return the outcome."""
    task.plan.slot(task.sample).save_failure(task.plan.facts(task.sample), line, line)
    return Outcome(task.sample.id, task.sample.case.frames, failed=True, error=line)


class Queue:
    """The tasks that are left.

    Args:
        tasks: all of them.
        claims: of this process.
        wait: whether to wait for what other processes have claimed, and take it over if they die.
    """

    def __init__(self, tasks: Sequence[Task], claims: Claims, wait: bool = True) -> None:
        self._claims, self._wait = claims, wait
        self._left: dict[str, deque[Task]] = defaultdict(deque)
        for task in sorted(tasks, key=lambda task: -task.cost_s):  # stable: plans and cases keep their order
            self._left[task.model].append(task)
        self._again: list[Task] = []  # of a process that died
        self._others: list[Task] = []  # claimed by other processes
        self._found: list[tuple[Task, Outcome]] = []  # done by other processes
        self._failed: list[Task] = []
        self._deaths: Counter[Task] = Counter()
        self._finished = 0
        self._looked = 0.0

    def work_off(self, engine: WorkEngine) -> Iterator[tuple[Task, Outcome]]:
        """Yield the outcome of every task as it ends, here or in another process that works on the same folder.

        Raises:
            UserError: processes die before they finish anything, or the disk is full.
            MissingAsset: weights or a dependency are absent.
        """
        running = 0
        while True:
            given = 0
            for model in engine.idle():
                task = self._next(model, engine.busy())
                if task is not None:
                    engine.give(task)
                    given += 1
            running += given
            yield from self._found
            self._found.clear()
            if running:
                idle = bool(engine.idle())  # a process may take the next one before the last one has ended
                for ended in engine.ended(
                    0.0 if given and idle else POLL_S if self._others and idle else None
                ):
                    running -= 1
                    outcome = self._died(ended) if ended.died else ended.outcome
                    if outcome is not None:
                        yield self._settled(ended.task, outcome)
            elif self._others and self._wait:
                time.sleep(POLL_S)
            elif not self._reopened():
                return

    def _next(self, loaded: str, busy: set[str]) -> Task | None:
        """Return a task that is claimed now: of the model that is loaded, else of one that nobody works on."""
        if self._again:
            return self._again.pop()
        while model := self._model(loaded, busy):
            task = self._left[model].popleft()
            if not self._left[model]:
                del self._left[model]
            claimed = self._claim(task)
            if claimed:
                return task
            if claimed is None:
                self._others.append(task)
        if self._others and time.monotonic() - self._looked >= POLL_S:
            self._looked = time.monotonic()
            for task in list(self._others):
                claimed = self._claim(task)
                if claimed is not None:
                    self._others.remove(task)
                if claimed:
                    return task
        return None

    def _model(self, loaded: str, busy: set[str]) -> str:
        """Return the model whose turn it is, empty if nothing is left; the ground truth gives others their floor."""
        if loaded in self._left:
            return loaded

        def urgency(model: str) -> tuple[bool, bool, float]:
            tasks = self._left[model]
            return model not in busy, tasks[0].plan.model == FLOOR, sum(task.cost_s for task in tasks)

        return max(self._left, key=urgency, default="")

    def _claim(self, task: Task) -> bool | None:
        """Claim a task; returns None while it is another process's, False if that has done it."""
        if not self._claims.take(task.plan.run_dir, task.sample.id):
            return None
        sweep(task.plan.slot(task.sample).folder)  # what a killed process left
        outcome = settled_elsewhere(task)
        if outcome is not None:
            self._found.append(self._settled(task, outcome))
        return outcome is None

    def _settled(self, task: Task, outcome: Outcome) -> tuple[Task, Outcome]:
        self._claims.release(task.plan.run_dir, task.sample.id)
        self._finished += 1
        if outcome.failed:
            self._failed.append(task)
        return task, outcome

    def _died(self, ended: Ended) -> Outcome | None:
        """Return the failure of a sample whose process died once more, or None if it gets another try."""
        task = ended.task
        self._deaths[task] += 1
        sweep(task.plan.slot(task.sample).folder)
        if not self._finished and self._deaths.total() >= HOPELESS:
            raise UserError(
                f"{counted(self._deaths.total(), 'worker process')} died before one finished a sample ({ended.died}); "
                "run the same command again with workers=1"
            )
        if self._deaths[task] < ATTEMPTS:
            self._again.append(task)
            return None
        if ended.outcome is not None:
            return ended.outcome
        line = f"the process that worked on it died {ATTEMPTS} times ({ended.died})"
        return given_up(task, line)

    def _reopened(self) -> bool:
        """Take back failed samples whose failure was removed meanwhile; returns whether there are any."""
        failed, self._failed = self._failed, []
        for task in failed:
            if failure_state(task.plan, task.sample) is None:
                self._left[task.model].append(task)
            else:
                self._failed.append(task)
        return bool(self._left)
