"""What is written when the samples of a run are done: tables, definitions, values of the whole set, record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from toraeval.metrics.shared.base import Metric
from toraeval.run import utilisation
from toraeval.run.outcome import Outcome
from toraeval.run.plan import FLOOR, Plan
from toraeval.run.set_scores import pool_sets
from toraeval.store import record
from toraeval.store.sealed import read_json, write_json
from toraeval.store.tables.rows import SECONDS, read_rows, write_definitions, write_tables
from toraeval.store.tables.run import RECORD, RunResult, table_hashes


def write(
    plan: Plan, outcomes: Sequence[Outcome], command: str | None, start: float, finished: bool
) -> RunResult:
    """Write tables and record of everything in the run folder; returns the rows of the samples that were asked for.

    Args:
        plan: of the run.
        outcomes: of the samples that were processed now.
        command: that is recorded; the process's own command line by default.
        start: when the run began, by `time.perf_counter`.
        finished: whether every sample was tried.
    """
    floor = plan if plan.model == FLOOR else plan.floor
    versions = {name: str(metric.version) for name, metric in plan.metrics.items()}
    rows = read_rows(plan.store, versions, floor.store if floor else None, plan.main)
    table = write_tables(plan.store, rows)
    write_definitions(plan.store, {name: defined(metric) for name, metric in plan.metrics.items()})
    if finished and "score" in plan.options.stages:
        pool_sets(plan)
    asked = {sample.id for sample in plan.samples}
    use = utilisation.of_outcomes(outcomes) or (read_json(plan.run_dir / RECORD) or {}).get("utilisation")
    content = {
        "command": command or record.command_line(),
        "finished": finished,
        "partial": not finished or len(plan.cases) < plan.suite_size,
        "suite_size": plan.suite_size,
        **_facts(plan, [row for row in rows if row["sample"] in asked], outcomes),
        "utilisation": use,  # of the last command that computed something
        "fingerprints": plan.fingerprints,
        "config": plan.config,
        **record.environment(time.perf_counter() - start),
        "files": table_hashes(plan.run_dir),
    }
    # the largest process: this one, or a worker
    content["peak_memory_mb"] = max([content["peak_memory_mb"], *(outcome.peak_mb for outcome in outcomes)])
    write_json(plan.run_dir / RECORD, content)
    cases = table[table["sample"].isin(asked)].reset_index(drop=True)
    return RunResult.of(plan.run_dir, cases, content)


def _facts(plan: Plan, rows: list[dict[str, Any]], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what the run is, how many samples it has, and what became of each; `rows` are those that it asks for."""
    failed = [row["sample"] for row in rows if row["status"] == "failed"]
    videos = {row["sample"]: row["video_sha256"] for row in rows if row.get("video_sha256")}
    prompts = {row["sample"]: row["prompt_sent"] for row in rows if row["prompt_sent"] is not None}
    samples = [sample.id for sample in plan.samples]
    return {
        "run": {
            "model": plan.model,
            "suite": plan.suite,
            "frames": plan.frames,
            "height": plan.height,
            "width": plan.width,
            "tracker": plan.tracker.name,
            "fingerprint": plan.fingerprint,
        },
        "counts": {
            "requested": len(samples),
            "generated": len(videos),
            "scored": sum(row["status"] == "ok" for row in rows),
            "unscored": sum(row["status"] == "unscored" for row in rows),
            "failed": len(failed),
            "computed_now": sum(bool(outcome.computed) for outcome in outcomes),
        },
        "stage_seconds": {name: round(sum(row[name] or 0.0 for row in rows), 3) for name in SECONDS},
        "failed": failed,
        "notes": list(plan.notes),
        "readings": {row["sample"]: row["reading"] for row in rows if row.get("reading")},
        "seeds": list(plan.options.seeds),
        "samples": samples,
        "prompts_sent": {name: prompts[name] for name in samples if name in prompts},
        "video_sha256": videos,
    }


def defined(metric: Metric) -> dict[str, Any]:
    """Return a metric's definition, with what reports need to know of it."""
    return {
        "metric": metric.name,
        "version": str(metric.version),
        "direction": metric.direction,
        **metric.definition(),
        "looks_at": "video" if metric.needs_video else "tracks",
        "unit": metric.units,
        "of_whole_set": metric.of_set,
    }
