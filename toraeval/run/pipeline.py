"""The main path: plan -> (floor) -> generate, track, score every sample -> rows -> folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from toraeval.run import cluster
from toraeval.run.costs import Costs
from toraeval.run.ending import Closer, Progress, Report, RunAtWork
from toraeval.run.outcome import Outcome
from toraeval.run.plan import Plan
from toraeval.run.queue import Queue, Task, tasks_of
from toraeval.run.request import LOCAL, Sample
from toraeval.run.sample import open_samples, without_video
from toraeval.run.work import stop_signals
from toraeval.run.workers import engine_for
from toraeval.store import lock, record
from toraeval.store.claims import Claims
from toraeval.store.disk import require_space, require_writable
from toraeval.store.journal import Journal
from toraeval.store.sealed import require_no_link, sweep
from toraeval.types import be, counted

CACHE_SWEEP_S = 60.0  # writing a file of a cache takes less


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
    options = plans[0].options
    if options.executor != LOCAL:
        cluster.check(options.executor, options.cluster)
    runs = _with_floors(plans)
    for one in runs:
        for sample in one.plan.samples:
            require_no_link(one.plan.options.results, one.plan.slot(sample).folder)
        require_writable(one.plan.run_dir)
    with stop_signals(), Claims() as claims:
        closer = Closer(runs, progress, command or record.command_line(), start, wait_s)
        tasks = _prepared(runs, progress, wait_s)
        try:
            _work(runs, tasks, claims, closer, progress)
        except BaseException:  # also after Ctrl-C or a full disk, as far as possible
            closer.save()
            raise
        closer.close(rest=True)
    reports = {id(one.plan): one.report for one in runs}
    return [report for plan in plans if (report := reports[id(plan)]) is not None]


def _with_floors(plans: Sequence[Plan]) -> list[RunAtWork]:
    """Return the runs of the plans and of their floors, each floor once and before what needs it."""
    floors: dict[Path, RunAtWork] = {}
    runs = []
    for plan in plans:
        floor = plan.floor
        if floor is not None and floor.run_dir not in floors:
            floors[floor.run_dir] = RunAtWork(floor, None)
        runs.append(RunAtWork(plan, floors[floor.run_dir] if floor else None))
    return [*floors.values(), *runs]


def _prepared(runs: Sequence[RunAtWork], progress: Progress, wait_s: float | None) -> list[Task]:
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
            plan.store.require_checksums()
            plan.store.sweep()
            todo = open_samples(plan)
            deleted = _trim(plan, todo)
        for metric in plan.metrics.values():
            if metric.cache is not None:  # other runs may be writing into it
                sweep(metric.cache, least_age_s=CACHE_SWEEP_S)
        if deleted:
            progress.note(
                f"keep=none: {counted(deleted, 'video')} of {plan.model} that earlier commands kept {be(deleted)} "
                "deleted"
            )
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


def _trim(plan: Plan, todo: Sequence[Sample]) -> int:
    """Delete the videos of finished samples if none shall stay; returns how many there were.

    Only `none` reaches back: it is never a default, while `preview` would delete what `lossless` was asked to keep.
    """
    if plan.options.keep != "none" or "score" not in plan.options.stages:
        return 0
    return sum(plan.slot(sample).trim("none") for sample in plan.samples if sample not in todo)


def _work(
    runs: Sequence[RunAtWork], tasks: list[Task], claims: Claims, closer: Closer, progress: Progress
) -> None:
    """Do every task, and close each run as soon as its last one is done."""
    plans, of_plan = [one.plan for one in runs], {id(one.plan): one for one in runs}
    asked = [one for one in runs if one.todo] or list(runs)
    label = asked[0].label if len(asked) == 1 else f"{len(asked)} runs"
    frames = sum(task.sample.case.frames for task in tasks)
    samples = {(one.plan.run_dir, sample.id) for one in runs for sample in one.plan.samples}
    progress.start(label, len(tasks), frames, len(samples) - len(tasks))
    closer.close()
    journal = _journal(runs, tasks, closer.command) if tasks else None
    with ExitStack() as stack:
        if not tasks:
            ended: Iterator[tuple[Task, Outcome]] = iter(())
        elif plans[0].options.executor == LOCAL:
            engine = stack.enter_context(engine_for(plans, tasks))
            ended = Queue(tasks, claims).work_off(engine)
        else:
            import torch  # noqa: F401 - the record tells of it

            ended = stack.enter_context(closing(cluster.work_off(plans, tasks, claims)))
        for task, outcome in ended:
            one = of_plan[id(task.plan)]
            one.outcomes[outcome.sample] = outcome
            progress.advance(outcome)
            if journal is not None:
                journal.add(
                    _folder(one.plan), outcome.sample, outcome.failed, outcome.process, outcome.busy_s
                )
            closer.reopen(one)
            if outcome.failed and task.plan.options.fail_fast:
                return
            closer.close()


def _journal(runs: Sequence[RunAtWork], tasks: Sequence[Task], command: str) -> Journal:
    """Say in the results folder what is to be done."""
    told: dict[str, dict[str, Any]] = {}
    for one in runs:
        costs = {task.sample.id: round(task.cost_s, 3) for task in tasks if task.plan is one.plan}
        former = told.get(_folder(one.plan), {"asked": [], "to_do": {}})
        asked = dict.fromkeys([*former["asked"], *(sample.id for sample in one.plan.samples)])
        told[_folder(one.plan)] = {
            "label": one.label,
            "asked": list(asked),
            "to_do": {**former["to_do"], **costs},
        }
    return Journal(runs[0].plan.options.results, command, told)


def _folder(plan: Plan) -> str:
    return plan.run_dir.relative_to(plan.options.results).as_posix()


def estimate_bytes(plan: Plan, num_samples: int) -> int:
    """Return a rough upper bound of what the samples still to be done will write.

    Lossless files of smooth clips were measured at a third of the raw size, previews below a twentieth.
    """
    raw = max((case.frames * case.height * case.width * 3 for _, case in plan.cases), default=0)
    share = {"lossless": 0.6, "preview": 0.05, "none": 0.01}[plan.options.keep]
    return int(num_samples * raw * (share if "score" in plan.options.stages else 0.6))
