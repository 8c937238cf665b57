"""The main path: plan -> (floor) -> generate, track, score every sample -> rows -> folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from toraeval.run import closing
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.run.sample import Outcome, open_samples, process, without_video
from toraeval.store import lock
from toraeval.store.disk import disk_use, require_space, require_writable
from toraeval.store.sealed import require_no_link, sweep
from toraeval.store.tables.run import RunResult
from toraeval.types import UserError

CACHE_SWEEP_S = 60.0  # writing a file of a cache takes less


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
        progress: receives run events.
        command: for the record; the process's own command line by default.
        wait_s: how long to wait for another process in the same run folder; None is as long as it lives.

    Raises:
        UserError: the folder is not writable, too full, or in use by another process.
        MissingAsset: weights or a dependency are absent.
        KeyboardInterrupt: after what is finished has been written to the tables.
    """
    progress = progress or Progress()
    start = time.perf_counter()
    for folder in (plan.store.cases_dir, *(plan.slot(sample).folder for sample in plan.samples)):
        require_no_link(plan.options.results, folder)
    require_writable(plan.run_dir)
    floor = run(plan.floor, progress, command, wait_s) if plan.floor else None
    with lock.hold(plan.run_dir, wait_s, progress.note):
        todo = _prepared(plan)
        cached = len(plan.samples) - len(todo)
        label = f"{plan.model} {plan.frames}f" if plan.frames else plan.model
        progress.start(label, len(todo), sum(sample.case.frames for sample in todo), cached)
        outcomes: list[Outcome] = []
        try:
            for outcome in _outcomes(plan, todo):
                outcomes.append(outcome)
                progress.advance(outcome)
                if outcome.failed and plan.options.fail_fast:
                    break
        except BaseException:  # also after Ctrl-C or a full disk, as far as possible
            with suppress(OSError, UserError):  # the first error tells more
                closing.write(plan, outcomes, command, start, finished=False)
            raise
        result = closing.write(plan, outcomes, command, start, finished=True)
        told = result.record["readings"]
        for text in dict.fromkeys(told.values()):
            samples = [sample for sample, said in told.items() if said == text]
            named = samples[0] if len(samples) == 1 else f"{len(samples)} clips ({samples[0]}, ...)"
            progress.note(f"{named}: {text}")
    return Report(result, outcomes, cached, floor, disk_use(plan.run_dir), "score" in plan.options.stages)


def _prepared(plan: Plan) -> list[Sample]:
    """Clear away what killed processes left and let the generator do once what its cases share; returns what is open.

    Raises:
        UserError: files of a version without checksums, or too little space.
    """
    plan.store.require_checksums()
    plan.store.sweep()
    for metric in plan.metrics.values():
        if metric.cache is not None:  # other runs may be writing into it
            sweep(metric.cache, least_age_s=CACHE_SWEEP_S)
    todo = open_samples(plan)
    require_space(plan.run_dir, estimate_bytes(plan, len(todo)))
    cases = [sample.case for sample in without_video(plan, todo)]
    if cases:
        plan.generator.prepare_cases(cases)
    return todo


def _outcomes(plan: Plan, todo: list[Sample]) -> Iterator[Outcome]:
    if plan.options.workers > 1 and len(todo) > 1:
        from toraeval.run.workers import process_in_pool

        yield from process_in_pool(plan, todo)
    else:
        for sample in todo:
            yield process(plan, sample)


def estimate_bytes(plan: Plan, num_samples: int) -> int:
    """Return a rough upper bound of what the samples still to be done will write.

    Lossless files of smooth clips were measured at a third of the raw size, previews below a twentieth.
    """
    raw = max((case.frames * case.height * case.width * 3 for _, case in plan.cases), default=0)
    share = {"lossless": 0.6, "preview": 0.05, "none": 0.01}[plan.options.keep]
    return int(num_samples * raw * (share if "score" in plan.options.stages else 0.6))
