"""What verbs print on stdout: the result table, the paths, and the command that made them."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from toraeval.cli.terminal import fitted, width, wrapped
from toraeval.report.measures import BOUNDS
from toraeval.report.texts import printable
from toraeval.run.ending import Report
from toraeval.run.outcome import busy_line, utilisation
from toraeval.stats import with_interval
from toraeval.store.disk import megabytes
from toraeval.store.tables.run import RunResult
from toraeval.types import counted


def print_report(report: Report, rows: pd.DataFrame, further: pd.DataFrame, command: str, page: str) -> None:
    """Print the tables of one run, what was done, where it and its page are, and the command.

    Args:
        report: what was done.
        rows, further: as in `table1.csv` and `metrics.csv`, of this run alone.
        command: as it is recorded.
        page: first file of the page, empty without one.
    """
    from toraeval.report.claims import lost_lines

    print_table(rows, f"all: python -m toraeval show {shlex.quote(str(report.result.run_dir))} columns=all")
    print_metrics(further, report.result.main_metric)
    for line in (*done_lines([report]), *partial_lines([report.result]), *unscored_lines(report)):
        print(line)
    for line in lost_lines(rows):
        print(f"mind: {line}")
    run_dir = report.result.run_dir
    print(f"{run_dir}/: cases.csv, record.json, cases/ ({megabytes(report.disk_bytes)} on disk)")
    if page:
        print(f"report: {page}")
    print(f"command: {command}")


def metrics_without_value(further: pd.DataFrame, asked: Collection[str]) -> dict[str, str]:
    """Return the metrics of `asked` that have no value at all, with the reason."""
    mine = further[further["metric"].isin(list(asked))]
    empty = mine.groupby("metric").filter(lambda part: part["value"].isna().all())
    return {
        name: next((reason for reason in part["skipped"] if reason), "no value")
        for name, part in empty.groupby("metric", sort=False)
    }


def print_metrics(rows: pd.DataFrame, main: str) -> None:
    """Print the main value of every metric beside the main one, or why it has none, as Markdown."""
    shown = rows[(rows["main"] == "yes") & (rows["metric"] != main)]
    if shown.empty:
        return
    cells = [
        [*_value_cells(row), row.unit if row.column == row.metric else "", _note(row)]
        for row in shown.itertuples()
    ]
    print("\n" + _with_notes([*VALUE_HEADS, "unit"], cells) + "\n")


def print_values(rows: pd.DataFrame) -> None:
    """Print every value of every metric, one per line, main or not, as Markdown."""
    cells = [
        [str(row.model), str(row.frames or "any"), *_value_cells(row), _note(row)]
        for row in rows.itertuples()
    ]
    print(_with_notes(["model", "frames", *VALUE_HEADS], cells))


VALUE_HEADS = ("metric", "value", "95 % interval", "cases", "better")


def _value_cells(row: Any) -> list[str]:
    return [
        row.column,
        "" if pd.isna(row.value) else _short(row.value),
        "" if pd.isna(row.low) else f"[{_short(row.low)}, {_short(row.high)}]",
        str(row.cases),
        row.direction if row.main == "yes" else "",
    ]


def _note(row: Any) -> str:
    return f"skipped: {row.skipped}" if row.skipped else ""


def _with_notes(heads: Sequence[str], cells: list[list[str]]) -> str:
    """Return a table whose last column, the notes, is there only if there is one, and is broken to fit."""
    if any(row[-1] for row in cells):
        return wrapped([*heads, "note"], cells)
    return fitted(heads, [row[:-1] for row in cells])[0]


def partial_lines(runs: Sequence[RunResult]) -> list[str]:
    """Return a line for each run that is a part of what its suite has: for trying, not for quoting."""
    return [
        f"partial: {run.model} {run.frames or ''}: {run.partial}".replace(" :", ":")
        for run in runs
        if run.partial
    ]


def unscored_lines(report: Report) -> list[str]:
    """Return how many clips were scored and which were not, with the reason; nothing where all were."""
    cases = report.result.cases
    unscored = cases[cases["status"] == "unscored"]
    if unscored.empty:
        return []
    reasons = report.result.skips.groupby("sample")["reason"].first()
    names = [f"{name} ({reasons.get(name, 'it was not requested')})" for name in unscored["sample"]]
    more = f" and {len(names) - 5} more (skips.csv)" if len(names) > 5 else ""
    scored = int((cases["status"] == "ok").sum())
    return [f"{scored} scored, {len(unscored)} unscored: {', '.join(names[:5])}{more}"]


def joint_rows(rows: pd.DataFrame, further: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `table1.csv` with the main value of every further metric as columns of their own."""
    joint = rows.copy()
    shown = further[(further["main"] == "yes") & ~further["column"].isin(list(rows))]
    for column in dict.fromkeys(shown["column"]):
        mine = shown[shown["column"] == column].set_index(["model", "frames"])
        for suffix, name in (("", "value"), ("_low", "low"), ("_high", "high")):
            found = mine[name].to_dict()
            keys = zip(rows["model"], rows["frames"], strict=True)
            joint[f"{column}{suffix}"] = [found.get(key, float("nan")) for key in keys]
    return joint


def print_table(rows: pd.DataFrame, more: str = "") -> None:
    """Print a table of models as Markdown, fitted to the terminal: headline columns first, then every metric.

    Args:
        rows: of `joint_rows` or of `table1.csv`; those of a sweep have `job` as well.
        more: the command that shows what has no room.
    """
    names = _in_order(rows)
    cells = [[_table_cell(row, name) for name in names] for row in rows.to_dict("records")]
    filled = [i for i, name in enumerate(names) if name in KEPT or any(row[i] for row in cells)]
    heads = [HEADS.get(names[i], names[i]) for i in filled]
    text, left_out = fitted(heads, [[row[i] for i in filled] for row in cells])
    print(text)
    if left_out:
        where = f"; {more}" if more else "; a wider terminal (or COLUMNS=200) shows more"
        print(textwrap.fill(f"no room for: {', '.join(left_out)}{where}", width(), break_on_hyphens=False))


KEPT = ("job", "model", "frames", "cases")
HEADS = {
    "ratio_to_static": "/ static",
    "tracker_floor": "floor",
    "failures": "failed",
    "seconds_per_clip": "s/clip",
}
LAST = ("traj_error_l2", "seconds_per_clip", "tracker")


def _in_order(rows: pd.DataFrame) -> list[str]:
    """Return the columns of the terminal's table: who, the main value, then failures, metrics and the rest."""
    from toraeval.report.tables import TABLE1

    # what the table of columns does not know is the value of another main metric, or of a further one
    values = [str(name) for name in rows if name not in TABLE1 and name != "job"]
    bounds = {f"{name}{end}" for name in values for end in BOUNDS}
    means = [name for name in values if name not in bounds]
    failed = ["failures"] if "failures" in rows and rows["failures"].sum() else []
    late = [] if failed else ["failures"]
    main = ["traj_error"] if "traj_error" in rows else means[:1]
    order = ["job", "model", "frames", "cases", *failed, *main, "ratio_to_static", "tracker_floor", *means]
    order += [*late, *LAST]
    return [name for name in dict.fromkeys(order) if name in rows]


def _table_cell(row: dict[Any, Any], name: str) -> str:
    """Return the text of one cell: a mean with its interval, or `n = 3` where there are too few cases for one."""
    value = row[name]
    if name == "frames":  # 0 where every clip has its own length
        return str(value or "any")
    if pd.isna(value):
        return ""
    if f"{name}_low" not in row:
        return printable(value) if isinstance(value, str) else _short(value)
    return with_interval(value, row[f"{name}_low"], row[f"{name}_high"], int(row["cases"]), ".3g")


def done_lines(reports: Sequence[Report]) -> list[str]:
    """Return what was computed and what was found done, and how busy the stages were."""
    asked = sum(len(report.result.cases) for report in reports)
    cached = sum(report.cached for report in reports)
    failed = sum(report.result.num_failed for report in reports)
    if not any(report.computed for report in reports):
        return [f"nothing to do: {cached} of {counted(asked, 'case')} cached"]
    line = f"{counted(asked, 'case')}: {asked - cached} computed, {cached} cached"
    if failed:
        line += f", {failed} failed (cases.csv says why, traceback.txt in each case's folder where)"
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    busy = busy_line(utilisation(outcomes))
    return [line, busy] if busy else [line]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
