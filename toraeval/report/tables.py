"""The result table: one row per model and length, as CSV, Markdown and a JSON that defines every column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from toraeval.metrics.traj_error import TrajError
from toraeval.report import measures
from toraeval.report.claims import below_floor
from toraeval.report.collect import FLOOR_MODEL, Group, ReportedRun, fingerprint_of
from toraeval.report.measures import Measure
from toraeval.report.texts import csv_text, markdown_sentence, markdown_text
from toraeval.stats import LEVEL, bootstrap_mean, case_means, without_interval
from toraeval.store.main_metric import MAIN_METRIC

TABLE1: dict[str, str] = {
    "model": "registry name; `ground_truth` and `static` are references, not models",
    "frames": "frames asked for and scored; 0 where every case has its own length",
    "cases": "cases with a score; the mean and its interval are taken over them",
    "failures": "samples without a video, tracks or score because something failed; never scored as 0",
    "traj_error": "mean over cases, see the metric's definition; pixels of the scored size, lower is better",
    "traj_error_low": "lower bound of the bootstrap interval over cases; empty below 8 cases",
    "traj_error_high": "upper bound of the bootstrap interval over cases; empty below 8 cases",
    "traj_error_l2": "the same with the Euclidean distance",
    "tracker": "what measured the path in the video",
    "tracker_floor": "traj_error of the same tracker on the exact render of the same cases",
    "seconds_per_clip": "median wall-clock seconds to generate one clip on the machine of the run",
    "fingerprint": "suite, metric versions, tracker, frames, size; rows of a length share one",
    "ratio_to_static": "traj_error divided by static_error of the same cases; 1 = nothing moved, 0 = perfect",
    "tracked_visible": "share of scored points that the tracker itself calls visible",
    "length_mode": "how the length was reached; for windowed models, which mode of long_video",
    "below_floor": "models of this length whose traj_error differs by less than the tracker's floor",
    "traj_error_final": "traj_error in the last scored frame",
    "traj_error_half": "(|dx|+|dy|)/2 instead of the sum",
    "traj_error_x": "|dx| alone",
    "traj_error_y": "|dy| alone",
    "traj_error_256": "traj_error on a 256 x 256 canvas",
    "traj_error_diagonal": "traj_error divided by the diagonal of the scored size",
    "static_error": "traj_error of a point that never moves, on the same cases",
    "n_objects": "scored objects, summed over the cases",
    "unscored": "samples that have a video but no score",
    "seeds": "sampling seeds per case (the largest number)",
    "frames_generated": "frames that the model produced before cutting",
    "interval": "bootstrap method, or why there is no interval",
    "suite": "suite and version",
    "height": "pixels",
    "width": "pixels",
    "weights": "first digits of the SHA-256 of the weights, where the run records one",
    "partial": "yes when the run covers a part of its suite only or was stopped: for trying, not for leaderboards",
    "run": "folder of the run",
}
"""Columns of `table1.csv` in order, and what each means."""

SHORT = tuple(TABLE1)[:16]
"""Columns of the Markdown and HTML table."""

_MEANS = tuple(
    name for name in TABLE1 if name in TrajError.columns and name not in (MAIN_METRIC, "n_objects")
)
_TRAJ_ERROR_ONLY = (*_MEANS, "ratio_to_static", "n_objects")


def columns_of(group: Group) -> dict[str, str]:
    """Return the columns of the table and what each means; another main metric than `traj_error` has fewer."""
    if group.main_metric == MAIN_METRIC:
        return TABLE1
    measure, column = measures.main_measure(group), group.main_column
    kept = {
        name.replace(MAIN_METRIC, column): words.replace(MAIN_METRIC, column)
        for name, words in TABLE1.items()
        if name not in _TRAJ_ERROR_ONLY
    }
    better = f"{measure.direction} is better" if measure.direction else ""
    return kept | {column: "; ".join(filter(None, [measure.columns.get(column, ""), measure.unit, better]))}


def table(group: Group) -> pd.DataFrame:
    """Return one row per model and length, with the columns of `columns_of`, unrounded."""
    main = measures.main_measure(group)
    rows = [_row(entry, group, main) for entry in group.entries]
    for frames in group.lengths:
        here = [row for row in rows if row["frames"] == frames]
        floors = {row["model"]: row["tracker_floor"] if main.has_floor else np.nan for row in here}
        near = below_floor(group.at(frames), floors, group.main_column)
        for row in here:
            row["below_floor"] = ", ".join(near.get(row["model"], []))
    return pd.DataFrame(rows, columns=list(columns_of(group)))


def _row(entry: ReportedRun, group: Group, main: Measure) -> dict[str, Any]:
    column = group.main_column
    interval = bootstrap_mean(entry.by_case(column))
    scored_cases = set(case_means(entry.by_case(column)))
    row: dict[str, Any] = {"model": entry.label, "frames": entry.frames}
    row |= {name: _mean(entry, name, scored_cases) for name in _MEANS}
    status = entry.cases["status"].astype(str)
    row["tracker_floor"] = _floor(entry, group, scored_cases)
    row["partial"] = "yes" if entry.run.record.get("partial") else "no"
    row["failures"] = int((status == "failed").sum())
    row["unscored"] = int(((status != "failed") & entry.column(column).isna()).sum())
    row["interval"] = interval.method if interval.reason is None else f"{interval.method}: {interval.reason}"
    found = vars(interval) | {"value": interval.mean}
    if main.of_set:
        found = measures.values_of(entry, main)[column]
        row["unscored"] = int((status != "failed").sum()) - found["cases"]
        row["interval"] = found["skipped"] or "the metric's own, of the set"
    row |= {column: found["value"], f"{column}_low": found["low"], f"{column}_high": found["high"]}
    row["cases"] = found["cases"]
    static = row["static_error"]
    row["ratio_to_static"] = interval.mean / static if static > 0 else np.nan
    row["n_objects"] = int(sum(case_means(entry.by_case("n_objects")).values()))
    row["seeds"] = int(entry.cases.groupby("case").size().max())
    row["seconds_per_clip"] = float(entry.column("seconds").median())
    row["length_mode"] = _values(entry.cases, "length_mode")
    row["frames_generated"] = _values(entry.cases, "frames_generated")
    row |= {"tracker": group.tracker, "suite": group.suite, "height": group.height, "width": group.width}
    row |= {"fingerprint": fingerprint_of([entry]), "run": entry.run.run_dir.name, "weights": _weights(entry)}
    return row


def _mean(entry: ReportedRun, name: str, cases: set[str]) -> float:
    means = [value for case, value in case_means(entry.by_case(name)).items() if case in cases]
    return float(np.mean(means)) if means else np.nan


def _values(cases: pd.DataFrame, column: str) -> str:
    """Return the different values of a column, joined; numbers without a needless `.0`."""
    if column not in cases:
        return ""
    found = {f"{v:g}" if isinstance(v, float) else str(v) for v in cases[column].dropna()}
    return " ".join(sorted(found - {""}))


def _floor(entry: ReportedRun, group: Group, cases: set[str]) -> float:
    """Return the tracker's own error on these cases, from the rows or else from the ground-truth run."""
    stored = _mean(entry, "tracker_floor", cases)
    for other in group.at(entry.frames):
        if np.isnan(stored) and other.run.model == FLOOR_MODEL:
            stored = _mean(other, group.main_column, cases)
    return stored


def _weights(entry: ReportedRun) -> str:
    """Return the start of the first SHA-256 of weights in the run's record, or nothing."""
    pending: list[Any] = [entry.run.record.get("fingerprints", {}).get("generator", {})]
    while pending:
        item = pending.pop(0)
        for name, value in item.items():
            if isinstance(value, dict):
                pending.append(value)
            elif "weights" in name and re.fullmatch(r"[0-9a-f]{64}", str(value)):
                return str(value)[:12]
    return ""


NAMES = (
    "model", "reference", "case", "family", "below_floor", "tracker", "name_a", "name_b", "a", "b", "variant",
)  # fmt: skip
"""Columns whose text others chose."""


def to_csv(rows: pd.DataFrame) -> str:
    """Return a data frame as CSV text: six significant digits, empty where there is no number.

    A text that a spreadsheet would compute gets a quote in front, see `texts.csv_text`.
    """
    words = {
        name: [csv_text(text) if isinstance(text, str) else text for text in rows[name]]
        for name in rows
        if name in NAMES
    }
    return str(rows.assign(**words).to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def to_markdown(
    rows: pd.DataFrame, group: Group, further: pd.DataFrame, said: Mapping[str, list[str]]
) -> str:
    """Return the short tables as Markdown.

    Args:
        rows: the result table.
        group: what is reported.
        further: the rows of `measures.table`.
        said: heading -> sentences below the tables.
    """
    parts = [
        f"{caption(group)}\n"
        "`ground_truth` shows what the tracker makes of a perfect video, `static` a video in which nothing moves.\n",
        _pipes(*_escaped(*short(rows, group))),
    ]
    for name, headers, cells in group_tables(further, group):
        parts.append(f"## {name.capitalize()}\n\n{_pipes(*_escaped(headers, cells))}")
    for heading, sentences in said.items():
        if sentences:
            parts.append(
                f"## {heading}\n\n" + "".join(f"- {markdown_sentence(text)}\n" for text in sentences)
            )
    return "\n".join(parts)


def _escaped(headers: list[str], cells: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Return a table whose names, which others chose, are safe in Markdown; the star of a row stays one."""
    safe = [
        [
            f"{markdown_text(cell.removesuffix(STAR), 400)}{STAR if cell.endswith(STAR) else ''}"
            if name in NAMES
            else cell
            for name, cell in zip(headers, row, strict=True)
        ]
        for row in cells
    ]
    return headers, safe


STAR = " *"


def caption(group: Group) -> str:
    """Return what the main value is and what its numbers are."""
    main = measures.main_measure(group)
    what = "TrajError" if main.name == MAIN_METRIC else group.main_column
    unit = {"px": "pixels"}.get(main.unit, main.unit)
    numbers = (
        "one value for the set" if main.of_set else f"mean over cases with a {LEVEL:.0%} bootstrap interval"
    )
    better = f", {main.direction} is better" if main.direction else ""
    return (
        f"{what}{f' in {unit}' if unit else ''} at {group.size}, suite {group.suite}, tracker {group.tracker}; "
        f"{numbers}{better}."
    )


def group_tables(further: pd.DataFrame, group: Group) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return name, headers and cells of each group of metrics that has any."""
    tables = [(name, *measures.wide(further, name, group.main_metric)) for name in measures.GROUPS]
    return [(name, headers, cells) for name, headers, cells in tables if cells]


def _pipes(headers: list[str], cells: list[list[str]]) -> str:
    from tabulate import tabulate

    return tabulate(cells, headers=headers, tablefmt="pipe", disable_numparse=True) + "\n"


def short(rows: pd.DataFrame, group: Group) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of the short table as text, rounded for reading."""
    main = group.main_column
    wanted = {name.replace(MAIN_METRIC, main) for name in SHORT}
    digits = {"ratio_to_static": 3, "tracked_visible": 3}
    if main != MAIN_METRIC:  # pixels of a picture need no more than two digits, others may
        digits |= {str(name): 4 for name in rows if str(name).startswith((main, "tracker_floor"))}
    shown = with_counts(rows)[[name for name in rows if name in wanted]]
    cells = [[_cell(row[name], digits.get(name, 2)) for name in row] for row in shown.to_dict("records")]
    return list(shown), cells


def with_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table for reading: `n = 3` in place of the bounds that too few cases do not have."""
    shown = rows.copy()
    for name in rows:
        if str(name).endswith(measures.BOUNDS) and "cases" in rows:
            few = [without_interval(int(cases)) for cases in rows["cases"]]
            shown[name] = [text or value for text, value in zip(few, rows[name], strict=True)]
    return shown


def _cell(value: object, digits: int) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.{digits}f}"
    return str(value)
