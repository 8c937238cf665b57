"""Jobs on other machines that share one queue: through submitit (Slurm) or Ray, over a results folder that all see."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from toraeval import optional, registry
from toraeval.config.verbs import ClusterConfig
from toraeval.run.costs import model_of
from toraeval.run.ending import plan_places
from toraeval.run.outcome import Outcome
from toraeval.run.plan import Plan, plan_by
from toraeval.run.queue import ATTEMPTS, Queue, Task, given_up, settled_elsewhere
from toraeval.run.request import LOCAL, RAY, SLURM
from toraeval.run.work import Terminated, stop_signals
from toraeval.run.worker import portable
from toraeval.run.workers import engine_for
from toraeval.store.claims import Claims
from toraeval.types import UserError

POLL_S = 1.0
ENDING_S = 5.0  # that a job takes to end when nothing is left
FRUITLESS = 2
"""Rounds of jobs that may end without a result, and without one dying over a sample, before the command gives up."""
LOGS = Path("runs", ".cluster")


@dataclass(frozen=True)
class Share:
    """What one job does: samples of the queue that no other job has claimed, until none is left.

    Attributes:
        recipes: planner and config of each plan.
        tasks: place of the plan, case, seed, seconds and state of a former failure of each sample.
        tables: registered parts.
        folder: working folder, to which relative paths in the configs belong.
    """

    recipes: Sequence[tuple[str, Mapping[str, Any]]]
    tasks: Sequence[tuple[int, str, int, float, int | None]]
    tables: Mapping[str, Mapping[str, registry.Entry]]
    folder: str = field(default_factory=os.getcwd)

    def __call__(self) -> Exception | None:
        """Do the share; returns what no other sample would survive either, e.g. missing weights."""
        os.chdir(self.folder)
        registry.restore(self.tables)
        try:
            self._do()
        except Terminated:  # preempted: the jobs that are left, or the next ones, go on
            return None
        except Exception as error:
            return portable(error)
        return None

    def checkpoint(self) -> Any:
        """Return what submitit submits again when the machine is taken away: the same share finds what is left."""
        submitit = optional.require("submitit", "executor=slurm", "slurm")
        return submitit.helpers.DelayedSubmission(self)

    def _do(self) -> None:
        plans = [plan_by(planner, config) for planner, config in self.recipes]
        samples = [{(s.case.id, s.seed): s for s in plan.samples} for plan in plans]
        tasks = [
            Task(plans[place], samples[place][case, seed], model_of(plans[place]), cost_s, failed_at)
            for place, case, seed, cost_s, failed_at in self.tasks
        ]
        with stop_signals(), Claims() as claims, engine_for(plans, tasks) as engine:
            for _ in Queue(tasks, claims, wait=False).work_off(engine):
                pass  # the results folder tells everybody else


class Submitted(Protocol):
    """A job of a scheduler."""

    def done(self) -> bool:
        """Return True if it has ended, however."""

    def error(self) -> Exception | None:
        """Return what it says that no other sample would survive either, once it is done."""

    def cancel(self) -> None:
        """End it."""


def work_off(
    plans: Sequence[Plan], tasks: Sequence[Task], claims: Claims
) -> Generator[tuple[Task, Outcome], None, None]:
    """Submit jobs until every task is done and yield the outcome of each as it appears in the results folder.

    Raises:
        UserError: what a job says that no other sample would survive either, or jobs end without doing anything.
    """
    left, fruitless, deaths = list(tasks), 0, Counter[Task]()
    while left:
        before = len(left)
        yield from _round(plans, left)
        while left and not any(claims.is_free(task.plan.run_dir, task.sample.id) for task in left):
            time.sleep(POLL_S)  # a job died with its claims, which expire
            yield from _settled(left)
        died = [task for task in left if claims.is_orphan(task.plan.run_dir, task.sample.id)]
        deaths.update(died)
        for task in died:
            if deaths[task] >= ATTEMPTS:
                left.remove(task)
                yield task, _given_up(task, claims)
        fruitless = 0 if died or len(left) < before else fruitless + 1
        if fruitless >= FRUITLESS:
            raise UserError(
                f"{FRUITLESS} rounds of jobs ended without finishing a sample; what they printed is in "
                f"{plans[0].options.results / LOGS}: cure that, then run the same command again"
            )


def _round(plans: Sequence[Plan], left: list[Task]) -> Iterator[tuple[Task, Outcome]]:
    """Submit jobs, yield what appears until all of them have ended, and take it off the list."""
    jobs = _submit(plans, left)
    try:
        running = True
        while left and running:
            running = not all(job.done() for job in jobs)  # first: what ends after this is seen below
            yield from _settled(left)
            if running and left:
                time.sleep(max(POLL_S, len(left) / 500))
        for job in jobs:
            if job.done() and (error := job.error()):
                raise error
        deadline = time.monotonic() + ENDING_S
        while time.monotonic() < deadline and not all(job.done() for job in jobs):
            time.sleep(POLL_S / 10)
    finally:
        if left:  # otherwise they are about to end
            for job in jobs:
                if not job.done():
                    job.cancel()


def _given_up(task: Task, claims: Claims) -> Outcome:
    run_dir, name = task.plan.run_dir, task.sample.id
    line = f"{ATTEMPTS} jobs died over it; what they printed is in {task.plan.options.results / LOGS}"
    outcome = given_up(task, line)
    if claims.take(run_dir, name):
        claims.release(run_dir, name)
    return outcome


def _settled(left: list[Task]) -> Iterator[tuple[Task, Outcome]]:
    for task in list(left):
        outcome = settled_elsewhere(task)
        if outcome is not None:
            left.remove(task)
            yield task, outcome


def _submit(plans: Sequence[Plan], left: Sequence[Task]) -> list[Submitted]:
    options = plans[0].options
    cluster = options.cluster
    # inside a job `auto` is what was asked for it: a scheduler need not hide the rest of its machine
    number = options.workers if isinstance(options.workers, int) else max(1, cluster.gpus or cluster.cpus)
    own = {"executor": LOCAL, "workers": number}
    places = plan_places(plans)
    share = Share(
        [(plan.planner, {**plan.config, **own}) for plan in plans],
        [(places[id(t.plan)], t.sample.case.id, t.sample.seed, t.cost_s, t.failed_at) for t in left],
        registry.snapshot(),
    )
    jobs = min(cluster.jobs, len(left))
    if options.executor == SLURM:
        return _to_submitit(share, jobs, cluster, options.results / LOGS)
    return _to_ray(share, jobs, cluster)


class _SubmititJob:
    def __init__(self, job: Any) -> None:
        self._job = job

    def done(self) -> bool:
        return bool(self._job.done())

    def error(self) -> Exception | None:
        with suppress(Exception):  # a job that was killed has no result; another one does its share
            found: Exception | None = self._job.result()
            return found
        return None

    def cancel(self) -> None:
        self._job.cancel()


def _to_submitit(share: Share, jobs: int, cluster: ClusterConfig, logs: Path) -> list[Submitted]:
    """Submit one array of equal jobs."""
    submitit = optional.require("submitit", "executor=slurm", "slurm")
    executor = submitit.AutoExecutor(folder=str(logs.absolute()), cluster=cluster.scheduler)
    given = {
        "name": "toraeval",
        "cpus_per_task": cluster.cpus,
        "gpus_per_node": cluster.gpus,
        "mem_gb": cluster.memory_gb,
        "timeout_min": cluster.minutes,
        "slurm_partition": cluster.partition,
        "slurm_account": cluster.account,
        "slurm_additional_parameters": cluster.parameters or None,
    }
    executor.update_parameters(**{name: value for name, value in given.items() if value is not None})
    if jobs == 1:
        return [_SubmititJob(executor.submit(share))]
    with executor.batch():
        submitted = [executor.submit(share) for _ in range(jobs)]
    return [_SubmititJob(job) for job in submitted]


class _RayJob:
    def __init__(self, ray: Any, actor: Any, share: Share) -> None:
        self._ray, self._actor = ray, actor
        self._told = actor.do.remote(share)

    def done(self) -> bool:
        return bool(self._ray.wait([self._told], timeout=0)[0])

    def error(self) -> Exception | None:
        with suppress(self._ray.exceptions.RayError):  # its machine is gone; another one does its share
            found: Exception | None = self._ray.get(self._told)
            return found
        return None

    def cancel(self) -> None:
        self._ray.kill(self._actor)


class Actor:
    """A process of Ray with the processors and GPUs of one job."""

    def do(self, share: Share) -> Exception | None:
        """Do a share."""
        return share()


def _to_ray(share: Share, jobs: int, cluster: ClusterConfig) -> list[Submitted]:
    """Start actors, on a running cluster where there is one; each holds its processors and GPUs for one share."""
    ray = optional.require("ray", "executor=ray", "ray")
    if not ray.is_initialized():
        ray.init(address=cluster.address, log_to_driver=False)
    actor = ray.remote(num_cpus=cluster.cpus, num_gpus=cluster.gpus)(Actor)
    return [_RayJob(ray, actor.remote(), share) for _ in range(jobs)]


def check(executor: str, cluster: ClusterConfig) -> None:
    """Refuse an executor whose package is absent, and numbers that cannot be.

    Raises:
        MissingDependency: submitit or ray is absent or broken.
        UserError: a number below its least.
    """
    for name, value, least in (
        ("jobs", cluster.jobs, 1),
        ("cpus", cluster.cpus, 1),
        ("gpus", cluster.gpus, 0),
        ("memory_gb", cluster.memory_gb, 1),
        ("minutes", cluster.minutes, 1),
    ):
        if value is not None and value < least:
            raise UserError(f"cluster.{name}={value}: allowed are whole numbers from {least}")
    package, extra = {SLURM: ("submitit", "slurm"), RAY: ("ray", "ray")}[executor]
    optional.require(package, f"executor={executor}", extra)
