"""`show`: the table, the cases, every value or the record of stored runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.arguments import split
from toraeval.types import UserError

if TYPE_CHECKING:
    from toraeval.store.tables.run import RunResult

HELP = """Print stored runs.

  python -m toraeval show results/runs/<suite>/<model>/<key>               its table and its cases
  python -m toraeval show results/runs/<suite>/<model>/<key> --record      its reproducibility record
  python -m toraeval show results                                          one table of every run below a folder
  python -m toraeval show results columns=all                              every value of every metric, one per line
  python -m toraeval show results columns=fvd,lpips_shapes                 only these values
"""
CASE_COLUMNS = ("sample", "status", "static_error", "tracker_floor", "seconds", "error")


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("show", argv, {"columns": ""}, flags=("record",))
    if not words:
        raise UserError(
            "show: give run folders, or a results folder, e.g. "
            "python -m toraeval show results/runs/<suite>/<model>/<key>"
        )
    from toraeval.cli.output import partial_lines
    from toraeval.store.tables.run import load_run
    from toraeval.store.tables.tidy import load_results

    runs: list[RunResult] = []
    for word in words:
        below = any(Path(word).rglob("cases.csv")) and not (Path(word) / "cases.csv").is_file()
        runs += load_results(word).loaded if below else [load_run(word)]
    if values.get("record"):
        for run in runs:
            print(json.dumps(run.record, indent=1, ensure_ascii=False))
        return 0
    _print_groups(runs, [name for name in values["columns"].split(",") if name])
    if len(runs) == 1 and not values["columns"]:
        _print_cases(runs[0])
    for line in partial_lines(runs):
        print(line)
    if len(runs) == 1:
        print(f"command: {runs[0].record.get('command', 'unknown')}")
    return 0


def _print_groups(runs: list[RunResult], columns: list[str]) -> None:
    """Print a table for each set of runs that may share one."""
    from toraeval.cli.output import joint_rows, print_table, print_values
    from toraeval.registry import unknown
    from toraeval.report import measures
    from toraeval.report.collect import grouped
    from toraeval.report.tables import table

    for group in grouped(runs):
        if len(runs) > 1:
            print(f"\nsuite {group.suite}, tracker {group.tracker}, {group.size}:")
        further = measures.table(group)
        if not columns:
            print_table(joint_rows(table(group), further), "columns=all shows every value, one per line")
            continue
        if columns != ["all"]:
            for name in columns:
                if name not in set(further["column"]):
                    raise UserError(unknown("value in columns", name, sorted(set(further["column"]))))
            further = further[further["column"].isin(columns)]
        print_values(further)


def _print_cases(run: RunResult) -> None:
    """Print one row per sample; columns without any value are left out."""
    from toraeval.cli.terminal import fitted

    columns = list(CASE_COLUMNS)
    columns.insert(2, run.main_column)
    shown = run.cases[[name for name in columns if name in run.cases]]
    shown = shown[[name for name in shown if shown[name].notna().any()]]
    cells = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    print("\n" + fitted(list(shown.columns), cells)[0])


def _cell(value: object) -> str:
    import pandas as pd

    from toraeval.report.texts import printable

    if pd.isna(value):
        return ""
    return f"{value:.3g}" if isinstance(value, float) else printable(str(value))
