"""The main path: plan -> (floor) -> generate, track, score every sample -> rows -> folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from toraeval.metrics.shared.base import Metric
from toraeval.run.plan import Plan, plan_floor
from toraeval.run.sample import Outcome, has_video, is_current, process
from toraeval.run.set_scores import pool_sets
from toraeval.run.workers import process_in_pool
from toraeval.store import lock, record
from toraeval.store import tables as results
from toraeval.store.disk import disk_use, require_space, require_writable
from toraeval.store.sealed import require_no_link, sweep, write_json
from toraeval.store.slot import sample_id
from toraeval.store.tables import RunResult
from toraeval.types import Case, UserError

CACHE_SWEEP_S = 60.0  # writing a file of a cache takes less


class Progress(Protocol):
    """Told what happens; the command line draws a bar from it."""

    def start(self, label: str, samples: int, frames: int, cached: int) -> None: ...

    def advance(self, outcome: Outcome) -> None: ...

    def note(self, message: str) -> None: ...


class Silent:
    """Tells nobody."""

    def start(self, label: str, samples: int, frames: int, cached: int) -> None:
        pass

    def advance(self, outcome: Outcome) -> None:
        pass

    def note(self, message: str) -> None:
        pass


@dataclass
class Report:
    """What `run` did.

    Attributes:
        result: rows of the samples that were asked for.
        outcomes: one per sample that was processed.
        cached: samples that needed nothing.
        floor: what the ground-truth run did, or None.
        disk_bytes: size of the run folder.
        wall_s: seconds.
        scores: whether scoring was asked for.
    """

    result: RunResult
    outcomes: list[Outcome] = field(default_factory=list)
    cached: int = 0
    floor: Report | None = None
    disk_bytes: int = 0
    wall_s: float = 0.0
    scores: bool = True

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


def run(
    plan: Plan, progress: Progress | None = None, command: str | None = None, wait_s: float | None = None
) -> Report:
    """Bring a run up to date: do what is missing and nothing else.

    Another process in the same run folder is waited for; what it has done is then found done.

    Args:
        plan: from `toraeval.run.plan`.
        progress: told what happens.
        command: for the record; the process's own command line by default.
        wait_s: how long to wait for another process in the same run folder; None is as long as it lives.

    Raises:
        UserError: the folder is not writable, too full, or in use by another process.
        MissingAsset: weights or a dependency are absent.
        KeyboardInterrupt: after what is finished has been written to the tables.
    """
    progress = progress or Silent()
    start = time.perf_counter()
    for folder in (plan.store.cases_dir, *(plan.slot(case, seed).folder for _, case, seed in plan.samples)):
        require_no_link(plan.options.results, folder)
    require_writable(plan.run_dir)
    floor_plan = plan_floor(plan)
    floor = run(floor_plan, progress, command, wait_s) if floor_plan else None
    with lock.hold(plan.run_dir, wait_s, progress.note):
        plan.store.require_checksums()
        plan.store.sweep()
        _sweep_caches(plan)
        todo = open_samples(plan)
        cached = len(plan.samples) - len(todo)
        require_space(plan.run_dir, estimate_bytes(plan, len(todo)))
        label = f"{plan.model} {plan.frames}f" if plan.frames else plan.model
        _prepare_cases(plan, todo)
        progress.start(label, len(todo), sum(case.frames for _, case, _ in todo), cached)
        outcomes: list[Outcome] = []
        with _written_whatever_happens(plan, floor_plan, outcomes, command, start):
            for outcome in _outcomes(plan, todo):
                outcomes.append(outcome)
                progress.advance(outcome)
                if outcome.failed and plan.options.fail_fast:
                    break
        result = requested_only(results.load_run(plan.run_dir), plan)
        _announce(progress, _readings(result.cases.to_dict("records")))
    return Report(
        result,
        outcomes,
        cached,
        floor,
        disk_use(plan.run_dir),
        time.perf_counter() - start,
        "score" in plan.options.stages,
    )


def _readings(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return what reading the video files assumed or changed, by sample."""
    return {row["sample"]: row["reading"] for row in rows if isinstance(row.get("reading"), str)}


def _announce(progress: Progress, readings: dict[str, str]) -> None:
    for text in dict.fromkeys(readings.values()):
        samples = [sample for sample, said in readings.items() if said == text]
        named = samples[0] if len(samples) == 1 else f"{len(samples)} clips ({samples[0]}, ...)"
        progress.note(f"{named}: {text}")


def _sweep_caches(plan: Plan) -> None:
    """Remove what killed processes left in the caches of metrics, which other runs may be writing into."""
    for metric in plan.metrics.values():
        if isinstance(metric.cache, Path):
            sweep(metric.cache, least_age_s=CACHE_SWEEP_S)


def open_samples(plan: Plan) -> list[tuple[int, Case, int]]:
    """Return the asked-for samples for which something is still to be done."""
    return [sample for sample in plan.samples if not is_current(plan, sample[1], sample[2])]


def _prepare_cases(plan: Plan, todo: list[tuple[int, Case, int]]) -> None:
    """Let the generator do once, for all processes, what the cases share."""
    if "generate" in plan.options.stages and hasattr(plan.generator, "prepare_cases"):
        cases = [case for _, case, seed in todo if not has_video(plan, case, seed)]
        if cases:
            plan.generator.prepare_cases(cases)


def _outcomes(plan: Plan, todo: list[tuple[int, Case, int]]) -> Iterator[Outcome]:
    if plan.options.workers > 1 and len(todo) > 1:
        yield from process_in_pool(plan, todo)
    else:
        for order, case, seed in todo:
            yield process(plan, order, case, seed)


@contextmanager
def _written_whatever_happens(
    plan: Plan, floor: Plan | None, outcomes: list[Outcome], command: str | None, start: float
) -> Iterator[None]:
    """Write tables and record at the end, also after Ctrl-C or a full disk, as far as possible."""
    try:
        yield
    except BaseException:
        with suppress(OSError, UserError):  # the first error tells more
            _write(plan, floor, outcomes, command, start, finished=False)
        raise
    _write(plan, floor, outcomes, command, start, finished=True)


def _write(
    plan: Plan, floor: Plan | None, outcomes: list[Outcome], command: str | None, start: float, finished: bool
) -> None:
    versions = {name: str(metric.version) for name, metric in plan.metrics.items()}
    own_floor = plan.store if plan.model == "ground_truth" else None
    rows = results.read_rows(plan.store, versions, floor.store if floor else own_floor)
    results.write_tables(plan.store, rows)
    results.write_definitions(plan.store, {name: defined(metric) for name, metric in plan.metrics.items()})
    if finished and "score" in plan.options.stages:
        pool_sets(plan)
    written = {"files": results.table_hashes(plan.run_dir)}
    write_json(
        plan.run_dir / results.RECORD, _record(plan, rows, outcomes, command, start, finished) | written
    )


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


def _record(
    plan: Plan,
    rows: list[dict[str, Any]],
    outcomes: list[Outcome],
    command: str | None,
    start: float,
    finished: bool,
) -> dict[str, Any]:
    asked = {(case.id, seed) for _, case, seed in plan.samples}
    mine = [row for row in rows if (row["case"], row["seed"]) in asked]
    failed = [row["sample"] for row in mine if row["status"] == "failed"]
    videos = {row["sample"]: row["video_sha256"] for row in mine if row.get("video_sha256")}
    metas = {sample_id(case.id, seed): plan.slot(case, seed).video_meta() for _, case, seed in plan.samples}
    return {
        "command": command or record.command_line(),
        "finished": finished,
        "partial": len(plan.cases) < plan.suite_size,
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
            "requested": len(plan.samples),
            "generated": len(videos),
            "scored": sum(row["status"] == "ok" for row in mine),
            "unscored": sum(row["status"] == "unscored" for row in mine),
            "failed": len(failed),
            "computed_now": sum(bool(outcome.computed) for outcome in outcomes),
        },
        "failed": failed,
        "notes": list(plan.notes),
        "readings": _readings(mine),
        "seeds": list(plan.options.seeds),
        "samples": [sample_id(case.id, seed) for _, case, seed in plan.samples],
        "prompts_sent": {name: meta["prompt_sent"] for name, meta in metas.items() if meta},
        "video_sha256": videos,
        "fingerprints": plan.fingerprints,
        "config": plan.config,
        "git": record.git_state(),
        "packages": record.versions(),
        "machine": record.machine(),
        "wall_s": round(time.perf_counter() - start, 3),
        "peak_memory_mb": record.peak_memory_mb(),
    }


def requested_only(result: RunResult, plan: Plan) -> RunResult:
    """Return the run restricted to the samples that the plan asks for."""
    asked = {sample_id(case.id, seed) for _, case, seed in plan.samples}
    rows = result.cases[result.cases["sample"].isin(asked)].reset_index(drop=True)
    return RunResult(
        result.model,
        result.suite,
        result.frames,
        result.height,
        result.width,
        result.tracker,
        result.run_dir,
        rows,
    )


def estimate_bytes(plan: Plan, num_samples: int) -> int:
    """Return a rough upper bound of what the samples still to be done will write.

    Lossless files of smooth clips were measured at a third of the raw size, previews below a twentieth.
    """
    raw = max((case.frames * case.height * case.width * 3 for _, case in plan.cases), default=0)
    share = {"lossless": 0.6, "preview": 0.05, "none": 0.01}[plan.options.keep]
    return int(num_samples * raw * (share if "score" in plan.options.stages else 0.6))
