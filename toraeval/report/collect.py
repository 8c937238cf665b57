"""Read finished runs and decide which of them may stand in one table."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval import registry
from toraeval.metrics.shared.readings import mean_over
from toraeval.store.main_metric import MAIN_METRIC, main_of
from toraeval.store.tables.run import RunResult, length_words, load_run
from toraeval.types import FloatArray, UserError

FLOOR_MODEL = "ground_truth"
STATIC_MODEL = "static"


@dataclass(frozen=True)
class ReportedRun:
    """One run as the report shows it.

    Attributes:
        run: the folder's content.
        label: model name, with the run's key when the same model appears twice at one length.
        cases: its rows, restricted to the samples that the report covers.
    """

    run: RunResult
    label: str
    cases: pd.DataFrame

    @property
    def frames(self) -> int:
        return int(self.run.frames)

    @property
    def is_reference(self) -> bool:
        """Whether the row brackets the models instead of being one."""
        return self.run.model in (FLOOR_MODEL, STATIC_MODEL)

    def column(self, name: str) -> pd.Series[Any]:
        """Return a metric column as floats, all NaN where the run has no such column."""
        if name in self.cases:
            return pd.to_numeric(self.cases[name], errors="coerce")
        return pd.Series(np.nan, index=self.cases.index)

    def by_case(self, name: str) -> dict[str, list[float]]:
        """Return the values of a column per case id (several when there are several seeds)."""
        values = self.column(name)
        found: dict[str, list[float]] = {}
        for case, value in zip(self.cases["case"], values, strict=True):
            found.setdefault(str(case), []).append(float(value))
        return found

    def curves(self, array: str = "errors_NT") -> dict[str, FloatArray]:
        """Return e(t) of every scored case, seeds averaged: case id -> (T,) pixels, NaN where not scored.

        Args:
            array: of `traj_error`: `errors_NT`, or `static_error_T` for a point that never leaves its start.
        """
        found: dict[str, list[FloatArray]] = {}
        scored = self.cases[self.column(MAIN_METRIC).notna()]
        for sample, case in zip(scored["sample"], scored["case"], strict=True):
            stored = self.run.load_arrays(str(sample)).get(f"{MAIN_METRIC}/{array}")
            if stored is not None:
                values = np.asarray(stored, dtype=np.float64)
                found.setdefault(str(case), []).append(mean_over(np.atleast_2d(values), axis=0))
        return {case: mean_over(np.stack(curves), axis=0) for case, curves in sorted(found.items())}


@dataclass(frozen=True)
class Group:
    """Runs that may share a table: one suite, one tracker, one size, one fingerprint per length."""

    suite: str
    tracker: str
    height: int
    width: int
    entries: tuple[ReportedRun, ...]

    @property
    def name(self) -> str:
        return f"{self.suite}-{self.tracker or 'untracked'}-{self.width}x{self.height}"

    @property
    def size(self) -> str:
        """Width x height in words; cases may each have their own."""
        return f"{self.width}x{self.height}" if self.width else "each clip's own size"

    @property
    def lengths(self) -> list[int]:
        return sorted({entry.frames for entry in self.entries})

    @property
    def labels(self) -> list[str]:
        """Every label once, in the order of the tables."""
        return list(dict.fromkeys(entry.label for entry in sorted(self.entries, key=_model_order)))

    def at(self, frames: int) -> list[ReportedRun]:
        return [entry for entry in self.entries if entry.frames == frames]

    def definitions(self) -> dict[str, Any]:
        """Return the metric definitions that the runs recorded, by metric name."""
        merged: dict[str, Any] = {}
        for entry in self.entries:
            merged |= entry.run.definitions
        return merged

    @cached_property
    def main_metric(self) -> str:
        """The metric that the tables show first, rank by and give the floor for."""
        return main_of(dict.fromkeys(entry.run.main_metric for entry in self.entries))

    @cached_property
    def main_column(self) -> str:
        """Its value."""
        runs = (entry.run for entry in self.entries)
        return next(run.main_column for run in runs if run.main_metric == self.main_metric)

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the reproducibility record of every run, by model, length and folder name."""
        return {
            f"{entry.run.model} / {Path(entry.run.run_dir).name}": dict(entry.run.record)
            for entry in self.entries
        }

    def licences(self) -> dict[str, str]:
        """Return the licence of every part that took part, as the registry states it."""
        parts = {("tracker", self.tracker), *(("model", entry.run.model) for entry in self.entries)}
        found = {}
        for kind, name in sorted(parts):
            known = name in registry.names(kind)
            found[f"{kind} {name}"] = registry.entry(kind, name).licence if known else "not stated"
        return found


def collect(run_dirs: Iterable[str | os.PathLike[str]], only: Collection[str] | None = None) -> list[Group]:
    """Load runs and sort them into groups whose rows may be compared.

    Args:
        run_dirs: finished run folders, in any order.
        only: sample ids to which every run is restricted, or None for all.

    Returns:
        Groups ordered by name, entries ordered by length and model.

    Raises:
        UserError: no run is given, a run has no row left, or two runs of one length differ in what they
            measure (their fingerprints).
    """
    folders = sorted({Path(folder).resolve() for folder in run_dirs})
    if not folders:
        raise UserError("report: no run folder given; make one with `python -m toraeval run`")
    return grouped([load_run(folder) for folder in folders], only)


def grouped(loaded: Iterable[RunResult], only: Collection[str] | None = None) -> list[Group]:
    """Sort runs into groups as `collect` does."""
    parts: dict[tuple[str, str, int, int], list[RunResult]] = {}
    for run in loaded:
        key = (run.suite, run.tracker or "", int(run.height), int(run.width))
        parts.setdefault(key, []).append(run)
    groups = []
    for (suite, tracker, height, width), runs in sorted(parts.items()):
        entries = sorted(
            (ReportedRun(run, _label(run, runs), _restricted(run, only)) for run in runs),
            key=lambda entry: (entry.frames, *_model_order(entry)),
        )
        group = Group(suite, tracker, height, width, tuple(entries))
        for frames in group.lengths:
            fingerprint_of(group.at(frames))
            _require_equal_clips(group.at(frames))
        groups.append(group)
    return groups


def fingerprint_of(entries: Iterable[ReportedRun]) -> str:
    """Return the one fingerprint of rows of one length, empty when none is recorded.

    Raises:
        UserError: the rows measure different things.
    """
    seen: dict[str, str] = {}
    for entry in entries:
        for value in entry.cases.get("fingerprint", pd.Series(dtype=str)).dropna().astype(str):
            if value:
                seen.setdefault(value, f"{entry.label} at {length_words(entry.frames)}")
    if len(seen) > 1:
        listed = ", ".join(f"{where} has {value}" for value, where in sorted(seen.items()))
        raise UserError(
            f"report: rows with different fingerprints cannot share a table: {listed}; "
            "repeat the older run with the same suite, tracker and metrics, or report them separately"
        )
    return next(iter(seen), "")


def differing_clips(a: RunResult, b: RunResult) -> str:
    """Return how clips of one sample differ in length or size, in words; empty where none does.

    Own clips state no length or size for the whole run, and pixels of clips of other sizes are other pixels.
    """
    shapes = [
        {
            row.sample: (row.frames, row.width, row.height)
            for row in run.cases.itertuples()
            if row.status == "ok"
        }
        for run in (a, b)
    ]
    differ = [name for name in shapes[0] if shapes[1].get(name, shapes[0][name]) != shapes[0][name]]
    if not differ:
        return ""
    first, second = ("{} frames of {}x{}".format(*shape[differ[0]]) for shape in shapes)
    more = f" (and {len(differ) - 1} more clips)" if len(differ) > 1 else ""
    return f"{differ[0]} has {first} against {second}{more}"


def _require_equal_clips(entries: list[ReportedRun]) -> None:
    for entry in entries[1:]:
        found = differing_clips(entries[0].run, entry.run)
        if found:
            raise UserError(
                f"report: {entries[0].label} and {entry.label} cannot share a table: {found}; score clips of one "
                "length and size, or report the runs separately"
            )


def _restricted(run: RunResult, only: Collection[str] | None) -> pd.DataFrame:
    cases = run.cases
    if only is not None:
        cases = cases[cases["sample"].astype(str).isin(set(only))]
    if cases.empty:
        raise UserError(f"report: {run.run_dir} has no sample to report; finish the run first")
    return cases.sort_values("sample", kind="stable").reset_index(drop=True)


def _label(run: RunResult, runs: list[RunResult]) -> str:
    twins = [other for other in runs if (other.model, other.frames) == (run.model, run.frames)]
    if len(twins) == 1:
        return str(run.model)
    return f"{run.model} [{Path(run.run_dir).name.rsplit('-', 1)[-1][:8]}]"


def _model_order(entry: ReportedRun) -> tuple[int, str]:
    rank = {FLOOR_MODEL: 0, STATIC_MODEL: 2}.get(entry.run.model, 1)
    return rank, entry.label
