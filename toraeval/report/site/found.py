"""The runs that a results folder holds, sorted into groups whose rows may stand in one table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from toraeval.report.collect import Group, grouped
from toraeval.store.tables.run import CASES, RECORD, RunResult, load_run
from toraeval.types import UserError


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
