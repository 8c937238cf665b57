"""`dry_run=true`: what a command would do, what it would cost, and what is missing; nothing is computed."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence

import yaml  # type: ignore[import-untyped]

from toraeval.cli import error_text
from toraeval.run.pipeline import estimate_bytes
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.run.sample import open_samples, without_video
from toraeval.store.disk import megabytes
from toraeval.types import UserError

NAMED = 3  # refused samples that are named in full


def print_plan(plan: Plan, command: str) -> int:
    """Print config, samples, cache hits and costs; return the exit code that the run would have, as far as is known."""
    print(yaml.safe_dump(dict(plan.config), sort_keys=False, allow_unicode=True).rstrip())
    print()
    return print_costs([plan], command)


def print_costs(plans: Sequence[Plan], command: str) -> int:
    """Print how much of each plan is done and what the rest costs; return the exit code that the run would have.

    Cases that the generator refuses are named on stderr; what else can fail shows only when it is tried.
    """
    codes = [_print_cost(plan) for plan in plans]
    print(f"command: {command}")
    return max(codes)


def _print_cost(plan: Plan) -> int:
    todo = open_samples(plan)
    refused = list(_refused(plan, todo))
    floor_todo = f", ground truth {len(open_samples(plan.floor))} to do" if plan.floor else ""
    label = f"{plan.model} {plan.frames}f" if plan.frames else plan.model
    print(
        f"{label}: {len(plan.samples)} samples, {len(plan.samples) - len(todo)} cached, {len(todo)} to do"
        f"{floor_todo}; up to {megabytes(estimate_bytes(plan, len(todo)))}; {_time(plan, len(todo))}"
    )
    print(f"  {plan.run_dir}")
    for error in refused[:NAMED]:
        print(error_text(error), file=sys.stderr)
    if len(refused) > NAMED:
        print(f"and {len(refused) - NAMED} further samples", file=sys.stderr)
    nothing_works = len(refused) == len(plan.samples)
    return max(error.exit_code for error in refused) if refused and nothing_works else int(bool(refused))


def _refused(plan: Plan, todo: Sequence[Sample]) -> Iterator[UserError]:
    """Yield why the generator would refuse samples that are still to be generated."""
    for _, case, seed in without_video(plan, todo):
        try:
            plan.generator.check_case(case, seed)
        except UserError as error:
            yield error


def _time(plan: Plan, num_samples: int) -> str:
    """Return a guess from what the finished samples took."""
    if not num_samples:
        return "no time"
    known: list[float] = []
    for sample in plan.samples:
        slot = plan.slot(sample)
        meta, tracked = slot.video_meta(), slot.tracks_meta()
        if meta and tracked:
            known.append(float(meta["seconds"]) + float(tracked["seconds"]))
    if not known:
        return "time unknown until the first case is done"
    return f"about {statistics.median(known) * num_samples:.0f} s"
