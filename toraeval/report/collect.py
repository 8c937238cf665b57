"""Read finished runs and decide which of them may stand in one table."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval import registry
from toraeval.metrics.shared.readings import mean_over
from toraeval.store.main_metric import MAIN_METRIC, main_of
from toraeval.store.tables.run import CASES, OWN_SIZE, RECORD, RunResult, length_words, load_run, size_words
from toraeval.types import FloatArray, UserError, counted

FLOOR_MODEL = "ground_truth"
STATIC_MODEL = "static"
COPIED_MODEL = "cut_and_drag"


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

    @property
    def is_trained(self) -> bool:
        """Whether the row is a trained model, as the paper's claim compares; copied pixels are none."""
        return not self.is_reference and self.run.model != COPIED_MODEL

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
    """Runs that may share a table: one suite, one tracker, one size, one fingerprint per length.

    Attributes:
        entries: the runs, in the order of the tables.
        suite, tracker, height, width: what they share.
        name: of files about them.
        size: width x height in words; cases may each have their own.
        lengths: numbers of frames, from short to long.
        labels: every label once, in the order of the tables, whatever the length.
        definitions: metric -> its definition, as the runs recorded it.
        main_metric, main_column: what the tables show first, rank by and give the floor for, and its value.
    """

    entries: tuple[ReportedRun, ...]
    suite: str
    tracker: str
    height: int
    width: int
    name: str
    size: str
    lengths: list[int]
    labels: list[str]
    definitions: Mapping[str, Any]
    main_metric: str
    main_column: str

    @classmethod
    def of(cls, entries: Iterable[ReportedRun]) -> Group:
        """Return what runs of one suite, tracker and size are together."""
        entries = tuple(entries)
        runs = [entry.run for entry in entries]
        suite, tracker, height, width = runs[0].suite, runs[0].tracker or "", runs[0].height, runs[0].width
        main = main_of(dict.fromkeys(run.main_metric for run in runs))
        return cls(
            entries,
            suite,
            tracker,
            int(height),
            int(width),
            name=f"{suite}-{tracker or 'untracked'}-{f'{width}x{height}' if width else OWN_SIZE}",
            size=size_words(width, height),
            lengths=sorted({entry.frames for entry in entries}),
            labels=list(dict.fromkeys(entry.label for entry in sorted(entries, key=_model_order))),
            definitions={name: stated for run in runs for name, stated in run.definitions.items()},
            main_metric=main,
            main_column=next(run.main_column for run in runs if run.main_metric == main),
        )

    def at(self, frames: int) -> list[ReportedRun]:
        return [entry for entry in self.entries if entry.frames == frames]

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
    for _, runs in sorted(parts.items()):
        entries = []
        for run in runs:
            wanted = run.cases["sample"].astype(str).isin(set(only)) if only is not None else slice(None)
            cases = run.cases[wanted].sort_values("sample", kind="stable").reset_index(drop=True)
            if cases.empty:
                raise UserError(f"report: {run.run_dir} has no sample to report; finish the run first")
            entries.append(ReportedRun(run, _label(run, runs), cases))
        entries.sort(key=lambda entry: (entry.frames, *_model_order(entry)))
        group = Group.of(entries)
        for frames in group.lengths:
            first, *others = group.at(frames)
            fingerprint_of([first, *others])
            for other in others:
                if found := differing_clips(first.run, other.run):
                    raise UserError(
                        f"report: {first.label} and {other.label} cannot share a table: {found}; score clips of one "
                        "length and size, or report the runs separately"
                    )
        groups.append(group)
    return groups


def runs_below(results: Path) -> tuple[list[RunResult], list[str]]:
    """Return every run of a results folder, and a line for each that cannot be read."""
    runs, problems = [], []
    for record in sorted(results.glob(f"runs/*/*/*/{RECORD}")):
        try:
            if (record.parent / CASES).is_file():
                runs.append(load_run(record.parent))
        except UserError as error:
            problems.append(f"left out: {error}")
    return runs, problems


def sorted_out(runs: Iterable[RunResult]) -> tuple[list[Group], list[RunResult]]:
    """Return groups that hold every run with a sample, and the runs without.

    Runs that must not share a table, e.g. those of an earlier version of a metric, stand in groups of their own.
    """
    empty: list[RunResult] = []
    layers: list[list[RunResult]] = []
    for run in runs:
        if run.cases.empty:
            empty.append(run)
            continue
        for layer in layers:
            try:
                grouped([*layer, run])
            except UserError:
                continue
            layer.append(run)
            break
        else:
            layers.append([run])
    return [group for layer in layers for group in grouped(layer)], empty


def former_pages(page: Path) -> list[str]:
    """Return a line for each page that an earlier version left beside this one or in it."""
    places = (page.parent / "report.html", page / "other-runs" / "index.html")
    return [
        f"note: {place} was left by an earlier version and may be deleted"
        for place in places
        if place.is_file()
    ]


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
    more = f" (and {counted(len(differ) - 1, 'more clip')})" if len(differ) > 1 else ""
    return f"{differ[0]} has {first} against {second}{more}"


def _label(run: RunResult, runs: list[RunResult]) -> str:
    twins = [other for other in runs if (other.model, other.frames) == (run.model, run.frames)]
    if len(twins) == 1:
        return str(run.model)
    return f"{run.model} [{Path(run.run_dir).name.rsplit('-', 1)[-1][:8]}]"


def _model_order(entry: ReportedRun) -> tuple[int, str]:
    rank = {FLOOR_MODEL: 0, STATIC_MODEL: 2}.get(entry.run.model, 1)
    return rank, entry.label
