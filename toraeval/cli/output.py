"""What verbs print on stdout: the result table, the paths, and the command that made them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from toraeval.disk import megabytes
from toraeval.pipeline import Report

COLUMNS = (
    "job", "model", "frames", "cases", "failures", "traj_error", "traj_error_low", "traj_error_high", "traj_error_l2",
    "tracker", "tracker_floor", "seconds_per_clip",
)  # fmt: skip


def print_report(report: Report, command: str) -> pd.DataFrame:
    """Print the table of one run, what was done, where it is, and the command; return the table."""
    rows = run_table(report)
    print_table(rows)
    print(done_line([report]))
    run_dir = report.result.run_dir
    print(f"{run_dir}/: cases.csv, record.json, cases/ ({megabytes(report.disk_bytes)} on disk)")
    print(f"command: {command}")
    return rows


def run_table(report: Report) -> pd.DataFrame:
    """Return the rows of the samples that were asked for, summarised as in `table1.csv`."""
    from toraeval.report.collect import collect
    from toraeval.report.tables import table

    groups = collect([report.result.run_dir], set(report.result.cases["sample"]))
    return pd.concat([table(group) for group in groups], ignore_index=True)


def print_table(rows: pd.DataFrame) -> None:
    """Print the main columns of a table as Markdown."""
    from toraeval.report.tables import with_counts

    shown = with_counts(rows)[[name for name in COLUMNS if name in rows]]
    if "frames" in shown:  # 0 where every clip has its own length
        shown = shown.assign(frames=[str(frames or "any") for frames in shown["frames"]])
    cells = [
        ["" if pd.isna(value) else _short(value) for value in row] for row in shown.itertuples(index=False)
    ]
    print(tabulate(cells, headers=list(shown.columns), tablefmt="github", disable_numparse=True))


def done_line(reports: Sequence[Report]) -> str:
    """Return what was computed and what was found done."""
    asked = sum(len(report.result.cases) for report in reports)
    cached = sum(report.cached for report in reports)
    failed = sum(report.result.num_failed for report in reports)
    if not any(report.computed for report in reports):
        return f"nothing to do: {cached} of {asked} cases cached"
    line = f"{asked} cases: {asked - cached} computed, {cached} cached"
    return (
        f"{line}, {failed} failed (cases.csv says why, traceback.txt in each case's folder where)"
        if failed
        else line
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
