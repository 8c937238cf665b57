"""`dry_run=true`: what a command would do, what it would cost, and what is missing; nothing is computed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from toraeval import registry
from toraeval.pipeline import estimate_bytes, open_samples
from toraeval.plan import Plan, plan_floor
from toraeval.store import megabytes
from toraeval.types import UserError


def print_plan(plan: Plan, command: str) -> int:
    """Print config, samples, cache hits, costs and missing parts; return 0, or 3 if anything is missing."""
    print(OmegaConf.to_yaml(OmegaConf.create(dict(plan.config))).rstrip())
    print()
    return print_costs([plan], command)


def print_costs(plans: Sequence[Plan], command: str) -> int:
    """Print how much of each plan is done, what the rest costs and what is missing; return 0, or 3."""
    missing: list[str] = []
    for plan in plans:
        lacking = missing_parts(plan)
        missing += [line for line in lacking if line not in missing]
        if not lacking:
            _print_cost(plan)
    for line in missing:
        print(f"missing: {line}")
    print(f"command: {command}")
    return 3 if missing else 0


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


def missing_parts(plan: Plan) -> list[str]:
    """Return what would stop the plan: assets and packages of its parts, weights that do not load."""
    from toraeval.cli.listing import missing_of

    config = plan.config
    wanted: list[tuple[str, str]] = [("tracker", plan.tracker.name)]
    wanted += [("metric", name) for name in plan.metrics]
    if isinstance(config.get("model"), dict):
        wanted.append(("model", config["model"]["name"]))
    # Which weights a model needs depends on options such as its own paths; the fingerprint below names those it lacks.
    lines = [
        line for kind, name in wanted if name in registry.names(kind) for line in missing_of(kind, name, {})
    ]
    try:
        plan.generator.fingerprint()
    except UserError as error:
        lines.append(str(error))
    return lines


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
