"""What verbs print on stdout: the result table, the paths, and the command that made them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd
from tabulate import tabulate

from toraeval.run.pipeline import Report
from toraeval.store.disk import megabytes


def print_report(report: Report, rows: pd.DataFrame, further: pd.DataFrame, command: str) -> None:
    """Print the tables of one run (see `run_tables`), what was done, where it is, and the command."""
    print_table(rows)
    print_metrics(further, report.result.main_metric)
    print(done_line([report]))
    for line in unscored_lines(report):
        print(line)
    run_dir = report.result.run_dir
    print(f"{run_dir}/: cases.csv, record.json, cases/ ({megabytes(report.disk_bytes)} on disk)")
    print(f"command: {command}")


def run_tables(report: Report) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of the asked-for samples as in `table1.csv`, and their metrics as in `metrics.csv`."""
    from toraeval.report import measures
    from toraeval.report.collect import grouped
    from toraeval.report.tables import table

    (group,) = grouped([report.result])
    return table(group), measures.table(group)


def metrics_without_value(further: pd.DataFrame, asked: Collection[str]) -> dict[str, str]:
    """Return the metrics of `asked` that have no value at all, with the reason; nothing where no clip was scored."""
    mine = further[further["metric"].isin(list(asked))]
    empty = mine.groupby("metric").filter(lambda part: part["value"].isna().all())
    return {
        name: next((reason for reason in part["skipped"] if reason), "no value")
        for name, part in empty.groupby("metric", sort=False)
    }


def print_metrics(rows: pd.DataFrame, main: str) -> None:
    """Print the main value of every metric beside the main one, or why it has none, as Markdown."""
    shown = rows[(rows["main"] == "yes") & (rows["metric"] != main)]
    cells = [
        [
            row.column,
            "" if pd.isna(row.value) else _short(row.value),
            "" if pd.isna(row.low) else f"[{_short(row.low)}, {_short(row.high)}]",
            str(row.cases),
            row.direction,
            row.unit if row.column == row.metric else "",
            f"skipped: {row.skipped}" if row.skipped else "",
        ]
        for row in shown.itertuples()
    ]
    if cells:
        heads = ["metric", "value", "95 % interval", "cases", "better", "unit", "note"]
        print("\n" + tabulate(cells, headers=heads, tablefmt="github", disable_numparse=True) + "\n")


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


def print_table(rows: pd.DataFrame) -> None:
    """Print the main columns of a table as Markdown."""
    from toraeval.report.tables import AT_A_GLANCE, TABLE1, with_counts

    # what the table of columns does not know is the job of a sweep, or the values of another main metric
    names = [name for name in rows if name in AT_A_GLANCE or name not in TABLE1]
    shown = with_counts(rows)[sorted(names, key=lambda name: name != "job")]
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
