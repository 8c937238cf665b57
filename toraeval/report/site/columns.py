"""The table of the page: a few columns at first, all others one click away, one precision per column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toraeval.report.collect import ReportedRun
from toraeval.report.findings import Findings
from toraeval.report.measures import APPEARANCE, CHECKS, CONTROL, arrow
from toraeval.report.tables import columns_of
from toraeval.stats import case_means, without_interval

DETAIL, RUN = "single readings", "run"
SETS = (CONTROL, APPEARANCE, CHECKS, DETAIL, RUN)
"""Groups of columns that can be shown and hidden."""

SHOWN_PER_GROUP = {CONTROL: 1, APPEARANCE: 2, CHECKS: 1}
"""Metrics beside the main one that stand in the table from the start."""

FIRST = ("cases", "failures")
OF_RUN = (
    "tracked_visible", "below_floor", "unscored", "seeds", "frames_generated", "length_mode", "tracker", "weights",
    "fingerprint", "partial", "run",
)  # fmt: skip
FIGURES = 3
"""Significant digits of the middle value of a column, which decide its decimals."""


@dataclass(frozen=True)
class Column:
    """One column: `decimals` of its numbers, or None for text; `headline` if it is shown from the start."""

    key: str
    title: str
    unit: str
    group: str
    explained: str
    decimals: int | None
    headline: bool = False

    def text(self, value: object) -> str:
        """Return a value as it is shown."""
        if isinstance(value, float) and np.isnan(value):
            return ""
        return f"{value:.{self.decimals}f}" if self.decimals is not None else str(value)


@dataclass(frozen=True)
class Cell:
    """One value: its text, what stands below it, and the number it is sorted by."""

    text: str
    below: str = ""
    number: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class ModelRow:
    """One model at one length; `of_families` gives text and cases per family and column."""

    label: str
    frames: int
    reference: bool
    cells: list[Cell]
    of_families: dict[str, dict[str, list[Any]]]


def columns(findings: Findings) -> list[Column]:
    """Return the columns of the table, the headline ones first."""
    rows, further = findings.rows, findings.further
    explained = columns_of(findings.group)
    main, column = findings.main, findings.group.main_column
    shown = [
        Column(name, name, "", "", explained[name], 0, name == "cases" or bool(rows[name].any()))
        for name in FIRST
    ]
    mark = arrow(main.direction)
    shown.append(
        Column(
            column, f"{column} {mark}".strip(), main.unit, "", explained[column], decimals(rows[column]), True
        )
    )
    if "ratio_to_static" in rows:
        shown.append(_plain(rows, "ratio_to_static", "", explained, headline=True, places=3))
    rest = []
    for name, limit in SHOWN_PER_GROUP.items():
        mine = further[
            (further["group"] == name) & (further["main"] == "yes") & (further["column"] != column)
        ]
        with_values = mine.groupby("column", sort=False)["value"].agg(lambda found: found.notna().any())
        first = [str(key) for key, has in with_values.items() if has][:limit]
        found = [_metric(mine[mine["column"] == key], name, str(key) in first) for key in with_values.index]
        shown += [item for item in found if item.headline]
        rest += [item for item in found if not item.headline]
    if rows["tracker_floor"].notna().any():
        shown.append(_plain(rows, "tracker_floor", main.unit, explained, headline=True))
    shown.append(_plain(rows, "seconds_per_clip", "s", explained, headline=True))
    known = {item.key for item in (*shown, *rest)}
    single = further[(further["main"] == "no") & ~further["column"].isin(known)]
    for _, part in single.groupby("column", sort=False):
        if part["value"].notna().any():
            rest.append(_metric(part, DETAIL, False))
    rest += [_plain(rows, name, "", explained) for name in OF_RUN if name in rows]
    return [*shown, *rest]


def _plain(
    rows: pd.DataFrame,
    name: str,
    unit: str,
    explained: Any,
    headline: bool = False,
    places: int | None = None,
) -> Column:
    if not pd.api.types.is_numeric_dtype(rows[name]):
        places = None
    elif places is None:
        places = decimals(rows[name])
    return Column(name, name, unit, RUN, explained[name], places, headline)


def _metric(part: pd.DataFrame, group: str, headline: bool) -> Column:
    row = part.iloc[0]
    own = row["column"].startswith(row["metric"]) and row["main"] == "yes"
    mark = arrow(row["direction"]) if own else ""
    return Column(
        str(row["column"]),
        f"{row['column']} {mark}".strip(),
        str(row["unit"]) if own else "",
        group,
        f"{row['metric']}: {row['column']}",
        decimals(part["value"]),
        headline,
    )


def decimals(values: pd.Series[Any]) -> int:
    """Return the decimals of a column: `FIGURES` significant digits for its middle value, 0 for whole numbers.

    Where the smallest value would be left with less than two digits, as that of the ground truth, it gets two decimals.
    """
    numbers = np.abs(pd.to_numeric(values, errors="coerce").to_numpy(dtype=float))
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not len(numbers) or np.all(numbers == np.round(numbers)):
        return 0
    middle, smallest = (int(np.floor(np.log10(value))) for value in (np.median(numbers), numbers.min()))
    return int(np.clip(max(FIGURES - 1 - middle, min(1 - smallest, 2)), 0, 4))


def lines(findings: Findings, shown: Sequence[Column]) -> list[ModelRow]:
    """Return the rows of the table, with the cells of `shown`."""
    further = {(row.model, row.frames, row.column): row for row in findings.further.itertuples()}
    found = []
    for entry, row in zip(findings.group.entries, findings.rows.to_dict("records"), strict=True):
        cells = []
        for column in shown:
            metric = further.get((entry.label, entry.frames, column.key))
            if column.key in row:
                low, high = row.get(f"{column.key}_low"), row.get(f"{column.key}_high")
                few = without_interval(int(row["cases"])) if column.key == findings.group.main_column else ""
                cells.append(_cell(column, row[column.key], low, high, few))
            elif metric is not None:
                few = without_interval(int(metric.cases)) if column.group != DETAIL else ""
                cells.append(_cell(column, metric.value, metric.low, metric.high, few, metric.skipped))
            else:
                cells.append(Cell(""))
        found.append(
            ModelRow(entry.label, entry.frames, entry.is_reference, cells, _of_families(entry, shown))
        )
    return found


def _cell(
    column: Column,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    few: str = "",
    reason: str = "",
) -> Cell:
    if column.decimals is None:
        return Cell(column.text(value))
    if not np.isfinite(value):
        return Cell("skipped" if reason else "", reason=reason)
    below = few
    if low is not None and high is not None and np.isfinite([low, high]).all():
        below = f"[{column.text(low)}, {column.text(high)}]"
    return Cell(column.text(value), below, float(value), reason)


def families(entry: ReportedRun) -> dict[str, set[str]]:
    """Return family -> ids of its cases; empty where the suite names no families."""
    if "tag_family" not in entry.cases:
        return {}
    named = entry.cases.dropna(subset=["tag_family"])
    return {
        str(name): set(part["case"].astype(str))
        for name, part in named.groupby(named["tag_family"].astype(str))
    }


def _of_families(entry: ReportedRun, shown: Sequence[Column]) -> dict[str, dict[str, list[Any]]]:
    numeric = [c for c in shown if c.decimals is not None and c.key in entry.cases and c.group != DETAIL]
    means = {column: case_means(entry.by_case(column.key)) for column in numeric}
    found: dict[str, dict[str, list[Any]]] = {}
    for name, cases in families(entry).items():
        mine = entry.cases[entry.cases["case"].astype(str).isin(cases)]
        failures = int((mine["status"] == "failed").sum())
        found[name] = {"failures": [str(failures), "", failures]}
        for column in numeric:
            values = [value for case, value in means[column].items() if case in cases]
            if values:
                mean = float(np.mean(values))
                found[name][column.key] = [column.text(mean), f"n = {len(values)}", mean]
        scored = len([case for case in case_means(entry.by_case(entry.run.main_column)) if case in cases])
        found[name]["cases"] = [str(scored), "", scored]
    return found
