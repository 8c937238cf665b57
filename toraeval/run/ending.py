"""A run at work, and its end: tables, record and report as soon as all that they rest on is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from toraeval.metrics.shared.base import Metric
from toraeval.run.outcome import Outcome, utilisation
from toraeval.run.plan import FLOOR, Plan
from toraeval.run.request import Sample
from toraeval.run.set_scores import pool_sets
from toraeval.store import claims, lock, record
from toraeval.store.disk import disk_use
from toraeval.store.sealed import read_json, write_json
from toraeval.store.tables.rows import SECONDS, read_rows, write_definitions, write_tables
from toraeval.store.tables.run import RECORD, RunResult, table_hashes
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
        """0; 1 if a sample failed, whatever the reason, or nothing was scored, here or in the floor."""
        failed = any(outcome.failed for outcome in self.outcomes)
        nothing_scored = self.scores and not (self.result.cases["status"] == "ok").any()
        return 1 if failed or nothing_scored else self.floor.exit_code if self.floor else 0

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


@dataclass
class Closer:
    """Writes tables and record of each run when every sample that they rest on is done.

    Attributes:
        runs: all, floors first.
        progress: receives what the record notes.
        command: for the records.
        start: when the command began, by `time.perf_counter`.
        wait_s: as of `run_all`.
    """

    runs: Sequence[RunAtWork]
    progress: Progress
    command: str
    start: float
    wait_s: float | None

    def close(self, rest: bool = False) -> None:
        """Close the runs whose samples, and those of their floors, are done; with `rest` those that stopped, too."""
        for one in self.runs:
            done = self._is_done(one) and (one.floor is None or one.floor.report)
            if one.report is None and (done or rest):
                self._close(one)

    def reopen(self, changed: RunAtWork) -> None:
        """Have the runs closed once more that a new outcome is a part of."""
        for one in self.runs:
            if one is changed or one.floor is changed:
                one.report = None

    def save(self) -> None:
        """Write what there is after an error, as far as possible, for the runs that something was done for."""
        for one in self.runs:
            if one.outcomes and one.report is None:
                with suppress(OSError, UserError):  # the first error tells more
                    self._written(one, finished=False, wait_s=CLOSING_WAIT_S)

    def _is_done(self, one: RunAtWork) -> bool:
        same = [other for other in self.runs if other.plan.run_dir == one.plan.run_dir]
        return all(len(other.outcomes) == len(other.todo) for other in same)

    def _close(self, one: RunAtWork) -> None:
        plan = one.plan
        result = self._written(one, self._is_done(one), self.wait_s)
        told = result.record["readings"]
        for text in dict.fromkeys(told.values()):
            samples = [sample for sample, said in told.items() if said == text]
            named = samples[0] if len(samples) == 1 else f"{len(samples)} clips ({samples[0]}, ...)"
            self.progress.note(f"{named}: {text}")
        outcomes = list(one.outcomes.values())
        elsewhere = sum(not outcome.computed and not outcome.failed for outcome in outcomes)
        floor = one.floor.report if one.floor else None
        scores = "score" in plan.options.stages
        one.report = Report(result, outcomes, one.cached + elsewhere, floor, disk_use(plan.run_dir), scores)

    def _written(self, one: RunAtWork, finished: bool, wait_s: float | None) -> RunResult:
        with lock.hold(one.plan.run_dir, wait_s, self.progress.note):
            claims.tidy(one.plan.run_dir)
            return write(one.plan, list(one.outcomes.values()), self.command, self.start, finished)


def write(plan: Plan, outcomes: Sequence[Outcome], command: str, start: float, finished: bool) -> RunResult:
    """Write tables and record of everything in the run folder; returns the rows of the samples that were asked for.

    Args:
        plan: of the run.
        outcomes: of the samples that were processed now.
        command: that is recorded.
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
    former = None if any(outcome.computed for outcome in outcomes) else read_json(plan.run_dir / RECORD) or {}
    use = utilisation(outcomes) or (former or {}).get("utilisation")
    content = {
        "command": command,
        "finished": finished,
        "partial": not finished or len(plan.cases) < plan.suite_size,
        "suite_size": plan.suite_size,
        **_facts(plan, [row for row in rows if row["sample"] in asked], outcomes),
        "utilisation": use,  # of the last command that computed something
        "fingerprints": plan.fingerprints,
        "config": plan.config,
        **record.environment(time.perf_counter() - start, former),
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
