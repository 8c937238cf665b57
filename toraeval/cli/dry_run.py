"""`dry_run=true`: what a command would do, what it would cost, and what is missing; nothing is computed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from toraeval.cli import error_text
from toraeval.run import cluster
from toraeval.run.costs import Costs, count, memory_of
from toraeval.run.pipeline import estimate_bytes
from toraeval.run.plan import Plan
from toraeval.run.queue import tasks_of
from toraeval.run.request import LOCAL, Sample
from toraeval.run.sample import open_samples, without_video
from toraeval.store.disk import megabytes
from toraeval.types import UserError, counted

SCALED = ", in proportion to the pixels of clips of another size"
NAMED = 3  # refused samples that are named in full


def print_plan(plan: Plan, command: str) -> int:
    """Print config, samples, cache hits and costs; return the exit code that the run would have, as far as is known."""
    _check_executor(plan)
    print(yaml.safe_dump(dict(plan.config), sort_keys=False, allow_unicode=True).rstrip())
    print()
    return print_costs([plan], command)


def print_costs(plans: Sequence[Plan], command: str) -> int:
    """Print how much of each plan is done and what the rest costs; return the exit code that the run would have.

    Cases that the generator refuses are named on stderr; what else can fail shows only when it is tried.

    Raises:
        MissingDependency, UserError: as of `toraeval.run.cluster.check`.
    """
    _check_executor(plans[0])
    costs = Costs([*plans, *(plan.floor for plan in plans if plan.floor)])
    codes = [_print_cost(plan, costs) for plan in plans]
    print(_total(plans, costs))
    print(f"command: {command}")
    return max(codes)


def _check_executor(plan: Plan) -> None:
    if plan.options.executor != LOCAL:
        cluster.check(plan.options.executor, plan.options.cluster)


def _print_cost(plan: Plan, costs: Costs) -> int:
    todo = open_samples(plan)
    refused = list(_refused(plan, todo))
    floor_todo = f", ground truth {len(open_samples(plan.floor))} to do" if plan.floor else ""
    label = f"{plan.model} {plan.frames}f" if plan.frames else plan.model
    part = (
        f" ({len(plan.cases)} of the {counted(plan.suite_size, 'case')})"
        if len(plan.cases) < plan.suite_size
        else ""
    )
    print(
        f"{label}: {counted(len(plan.samples), 'sample')}, {len(plan.samples) - len(todo)} cached, {len(todo)} to do"
        f"{floor_todo}{part}; up to {megabytes(estimate_bytes(plan, len(todo)))}; "
        f"{_time([costs.known(plan, sample) for sample in todo])}{SCALED if todo and costs.scaled(plan) else ''}"
    )
    print(f"  {plan.run_dir}")
    for error in refused[:NAMED]:
        print(error_text(error), file=sys.stderr)
    if len(refused) > NAMED:
        print(f"and {counted(len(refused) - NAMED, 'further sample')}", file=sys.stderr)
    return int(bool(refused))


def _total(plans: Sequence[Plan], costs: Costs) -> str:
    """Return one line: samples, disk, processes with their memory, and time of everything, floors included."""
    every = {plan.run_dir: plan for plan in (*(plan.floor for plan in plans if plan.floor), *plans)}
    tasks = [task for plan in every.values() for task in tasks_of(plan, open_samples(plan), costs)]
    disk = sum(estimate_bytes(plan, sum(task.plan is plan for task in tasks)) for plan in every.values())
    free = shutil.disk_usage(existing(plans[0].options.results)).free
    line = f"in all: {counted(len(tasks), 'sample')} to do; up to {megabytes(disk)} of disk, {megabytes(free)} free"
    if not tasks:
        return line
    number = min(count(list(every.values()), [task.sample for task in tasks]), len(tasks))
    where, each = "on this machine", memory_of(list(every.values()))
    if (executor := plans[0].options.executor) != LOCAL:
        number, where = min(plans[0].options.cluster.jobs, len(tasks)), f"by {executor}"
    memory = f"up to {megabytes(each)} of memory each" if each else "memory unknown until such a run is done"
    known = [costs.known(task.plan, task.sample) for task in tasks]
    scaled = SCALED if any(costs.scaled(task.plan) for task in tasks) else ""
    return f"{line}; {counted(number, 'process')} {where}, {memory}; {_time(known, number)}{scaled}"


def existing(folder: Path) -> Path:
    """Return the folder, or the next one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _refused(plan: Plan, todo: Sequence[Sample]) -> Iterator[UserError]:
    """Yield why the generator would refuse samples that are still to be generated."""
    for _, case, seed in without_video(plan, todo):
        try:
            plan.generator.check_case(case, seed)
        except UserError as error:
            yield error


def _time(known: Sequence[float | None], processes: int = 1) -> str:
    """Return what samples take by what earlier ones took, shared by processes; those without a former run are named."""
    if not known:
        return "no time"
    seconds = [each for each in known if each is not None]
    if not seconds:
        return "time unknown until the first run is done"
    unknown = len(known) - len(seconds)
    more = f" and the time of {counted(unknown, 'sample')} of models that never ran here" if unknown else ""
    return f"about {max(sum(seconds) / processes, max(seconds)):.0f} s{more}"
