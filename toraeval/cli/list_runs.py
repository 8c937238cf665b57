"""`list runs`: what a results folder holds, one run per line, with the folder that other verbs take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.terminal import fitted

if TYPE_CHECKING:
    from toraeval.store.tables.run import RunResult


def print_runs(results: Path) -> None:
    """Print every run below a results folder and, on stderr, those that cannot be read."""
    from toraeval.cli.output import partial_lines
    from toraeval.report.collect import runs_below
    from toraeval.report.texts import printable
    from toraeval.store.tables.run import CASES

    runs, problems = runs_below(results)
    for line in problems:
        print(line, file=sys.stderr)
    for folder in sorted(results.glob("runs/*/*/*/")):
        if (folder / "cases").is_dir() and not (folder / CASES).is_file():
            print(f"not finished: {folder}")
    if not runs:
        print(f"{results}: no finished run; make one with `python -m toraeval run results={results}`")
        return
    rows = [[printable(cell) for cell in _row(run)] for run in runs]
    heads = ["model", "frames", "suite", "run", "main value", "cases", "failed", "tracker"]
    print(fitted(heads, rows)[0])
    for line in partial_lines(runs):
        print(printable(line))
    print(
        f"folders: {results}/runs/<suite>/<model>/<run>; the page of all: python -m toraeval report results={results}"
    )


def _row(run: RunResult) -> list[str]:
    import pandas as pd

    cases = run.cases
    values = (
        pd.to_numeric(cases[run.main_column], errors="coerce")
        if run.main_column in cases
        else pd.Series(dtype=float)
    )
    mean = values.groupby(cases["case"]).mean().mean() if len(values) else float("nan")
    return [
        run.model,
        str(run.frames or "own"),
        run.suite,
        run.run_dir.name,
        "" if pd.isna(mean) else f"{run.main_column} {mean:.3g}",
        str(cases["case"].nunique()),
        str(run.num_failed),
        run.tracker,
    ]
