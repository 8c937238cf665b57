"""`dry_run=true`: what a command would do, what it would cost, and what is missing; nothing is computed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from toraeval import requirements
from toraeval.disk import megabytes
from toraeval.pipeline import estimate_bytes, open_samples
from toraeval.plan import Plan, plan_floor


def print_missing(missing: requirements.MissingParts, command: str) -> int:
    """Print everything that a command lacks, with what gets it; return 3."""
    print(missing.report)
    print(f"command: {command}")
    return missing.exit_code


def print_plan(plan: Plan, command: str) -> int:
    """Print config, samples, cache hits and costs; return 0."""
    print(OmegaConf.to_yaml(OmegaConf.create(dict(plan.config))).rstrip())
    print()
    return print_costs([plan], command)


def print_costs(plans: Sequence[Plan], command: str) -> int:
    """Print how much of each plan is done and what the rest costs; return 0."""
    for plan in plans:
        _print_cost(plan)
    print(f"command: {command}")
    return 0


def _print_cost(plan: Plan) -> None:
    todo = open_samples(plan)
    floor = plan_floor(plan)
    floor_todo = f", ground truth {len(open_samples(floor))} to do" if floor else ""
    label = f"{plan.model} {plan.frames}f" if plan.frames else plan.model
    print(
        f"{label}: {len(plan.samples)} samples, {len(plan.samples) - len(todo)} cached, {len(todo)} to do"
        f"{floor_todo}; up to {megabytes(estimate_bytes(plan, len(todo)))}; {_time(plan, len(todo))}"
    )
    print(f"  {plan.run_dir}")


def _time(plan: Plan, num_samples: int) -> str:
    """Return a guess from what the finished samples took."""
    if not num_samples:
        return "no time"
    known: list[float] = []
    for _, case, seed in plan.samples:
        slot = plan.slot(case, seed)
        meta: dict[str, Any] | None = slot.video_meta()
        tracked = slot.track_seconds()
        if meta and tracked is not None:
            known.append(float(meta["seconds"]) + tracked)
    if not known:
        return "time unknown until the first case is done"
    seconds = statistics.median(known) * num_samples / plan.options.workers
    return f"about {seconds:.0f} s"
