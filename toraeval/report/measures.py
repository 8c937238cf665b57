"""The metrics beside TrajError, in groups that a reader takes in together, each value with its interval.

A frozen or smeared video can win any single column. Control, appearance and the checks against such winners
therefore stand in one report, one below the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toraeval.report.collect import FLOOR_MODEL, Group, ReportedRun
from toraeval.stats import MIN_CASES, bootstrap_mean, case_means, with_interval
from toraeval.store.main_metric import MAIN_METRIC, main_columns
from toraeval.store.tables.run import length_words
from toraeval.types import counted

CONTROL, APPEARANCE, CHECKS = "control", "appearance", "degenerate-winner checks"
GROUPS: dict[str, tuple[str, ...]] = {
    CONTROL: (
        MAIN_METRIC, "lost_error", "objmc", "epe", "final_error", "path_distance", "direction_error", "speed_error",
        "survival", "tapvid", "box_iou", "mask_iou",
    ),
    APPEARANCE: ("fvd", "kvd", "fid", "clipsim", "class_kept", "lpips", "ssim", "psnr"),
    CHECKS: ("motion_amount", "flicker", "appearance_drift", "object_survival"),
}  # fmt: skip
"""Group -> metrics in the order they are shown; a metric that is not named here follows the ones of its kind."""

STILL = 0.5  # share of the way asked below which a video's looks are not a merit
BOUNDS = ("_low", "_high")
VALUES: dict[str, str] = {
    "model": "registry name",
    "frames": "frames asked for and scored; 0 where every case has its own length",
    "group": "control, appearance, or degenerate-winner checks",
    "metric": "registry name of the metric",
    "column": "the value, as in cases.csv or set_scores.json",
    "main": "yes for the value that tables show",
    "value": "mean over cases, or the one value of the whole set; empty where there is none",
    "low": "lower bound of the 95 % bootstrap interval over cases, or the metric's own bound for a set; empty below 8",
    "high": "upper bound of it",
    "cases": "cases, or samples of the set, that entered",
    "floor": "the same value of the ground truth: what tracker and metric make of a perfect video",
    "direction": "which is better",
    "unit": "of the value named like the metric",
    "skipped": "why there is no value, or why cases are left out",
}
"""Columns of `metrics.csv` and what each means."""


@dataclass(frozen=True)
class Measure:
    """One metric as the runs recorded it.

    Attributes:
        name, group: registry name and one of `GROUPS`.
        direction, unit: of its main value.
        of_set: whether values belong to the whole set of samples.
        columns: its values: name -> meaning, the main ones first.
        main: the values that tables show.
        has_floor: whether its value on a perfect video is an error of the tracker; smaller differences say nothing.
    """

    name: str
    group: str
    direction: str
    unit: str
    of_set: bool
    columns: Mapping[str, str]
    main: tuple[str, ...]
    has_floor: bool


def measures(group: Group) -> list[Measure]:
    """Return every metric that the runs of a group recorded, in the order of `GROUPS`."""
    found = [_measure(name, stated, _seen(group, name)) for name, stated in group.definitions.items()]
    places = {name: i for i, name in enumerate(name for names in GROUPS.values() for name in names)}
    order = list(GROUPS)
    return sorted(found, key=lambda m: (order.index(m.group), places.get(m.name, len(places)), m.name))


def main_measure(group: Group) -> Measure:
    """Return the metric that the tables of a group show first."""
    listed = (measure for measure in measures(group) if measure.name == group.main_metric)
    return next(listed, None) or _measure(group.main_metric, {}, set())


def group_of(name: str, looks_at: str) -> str:
    """Return the group of a metric: as listed, else by whether it looks at tracks or at frames."""
    listed = next((group for group, names in GROUPS.items() if name in names), None)
    return listed or (CONTROL if looks_at == "tracks" else APPEARANCE)


def _seen(group: Group, name: str) -> set[str]:
    columns = {str(column) for entry in group.entries for column in entry.cases}
    sets = {
        column for entry in group.entries for column in entry.run.set_scores.get(name, {}).get("values", {})
    }
    return columns | sets


def _measure(name: str, stated: Mapping[str, Any], seen: set[str]) -> Measure:
    explained = {str(column): str(words) for column, words in dict(stated.get("columns", {})).items()}
    called = str(stated.get("metric", name))
    own = {column for column in seen if column == called or column.startswith(f"{called}_")}
    columns = [*explained, *sorted(own - set(explained))] or [called]
    group, direction = group_of(name, str(stated.get("looks_at", "tracks"))), str(stated.get("direction", ""))
    return Measure(
        name,
        group,
        direction,
        str(stated.get("unit", "")),
        bool(stated.get("of_whole_set")),
        {column: explained.get(column, "") for column in columns},
        main_columns(name, {**stated, "columns": columns}),
        has_floor=group == CONTROL and direction == "lower",
    )


def table(group: Group) -> pd.DataFrame:
    """Return one row per model, length and value, with the columns of `VALUES`, unrounded."""
    rows = []
    shown = measures(group)
    for frames in group.lengths:
        entries = group.at(frames)
        floor = next((entry for entry in entries if entry.run.model == FLOOR_MODEL), None)
        for entry in entries:
            for measure in shown:
                floors = values_of(floor, measure) if floor is not None else {}
                for column, row in values_of(entry, measure).items():
                    row["floor"] = floors.get(column, {}).get("value", np.nan)
                    row |= {"model": entry.label, "frames": frames, "column": column}
                    row |= {"group": measure.group, "metric": measure.name, "unit": measure.unit}
                    row |= {"main": "yes" if column in measure.main else "no", "direction": measure.direction}
                    rows.append(row)
    return pd.DataFrame(rows, columns=list(VALUES))


def values_of(entry: ReportedRun, measure: Measure) -> dict[str, dict[str, Any]]:
    """Return column -> `value`, `low`, `high`, `cases` and `skipped` of one metric in one run."""
    return _of_set(entry, measure) if measure.of_set else _of_cases(entry, measure)


def _of_cases(entry: ReportedRun, measure: Measure) -> dict[str, dict[str, Any]]:
    known = entry.run.skips
    mine = known[(known["metric"] == measure.name) & known["sample"].isin(set(entry.cases["sample"]))]
    # on how many samples it did not run, with the first reason
    skipped = (
        f"{len(mine)} of {counted(len(entry.cases), 'sample')}: {mine['reason'].iloc[0]}" if len(mine) else ""
    )
    rows = {}
    for column in measure.columns:
        if column not in measure.main and column not in entry.cases:
            continue
        interval = bootstrap_mean(entry.by_case(column))
        rows[column] = {
            "value": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "cases": interval.cases,
            "skipped": skipped,
        }
    return rows


def _of_set(entry: ReportedRun, measure: Measure) -> dict[str, dict[str, Any]]:
    stored = entry.run.set_scores.get(measure.name)
    reason = _no_set(entry, stored)
    values = {} if stored is None or reason else stored["values"]
    samples = len(stored["samples"]) if stored and values else 0
    bounds = values if samples >= MIN_CASES else {}
    columns = dict.fromkeys(column for column in (*values, *measure.main) if not column.endswith(BOUNDS))
    return {
        column: {
            "value": values.get(column, np.nan),
            "low": bounds.get(f"{column}_low", np.nan),
            "high": bounds.get(f"{column}_high", np.nan),
            "cases": samples,
            "skipped": reason,
        }
        for column in columns
    }


def _no_set(entry: ReportedRun, stored: Mapping[str, Any] | None) -> str:
    if stored is None:
        return "not computed in this run"
    if stored["skipped"]:
        return str(stored["skipped"])
    others = set(stored["samples"]) - set(entry.cases["sample"])
    mine = entry.cases.loc[entry.cases["status"] != "failed", "sample"]
    if others or len(stored["samples"]) > len(mine):
        return "its value belongs to more samples than this table has; run the metric on these samples alone"
    return ""


def arrow(direction: str) -> str:
    """Return the mark of a column's better end."""
    return {"lower": "↓", "higher": "↑"}.get(direction, "")


def wide(rows: pd.DataFrame, group: str, main: str = MAIN_METRIC) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of one group's table: main values as `mean [low, high]`, `floor` rows included.

    The metric `main` has a table of its own.
    In the table of appearances a model that hardly moves carries a star, which `remarks` explains.
    """
    mine = rows[(rows["group"] == group) & (rows["main"] == "yes") & (rows["metric"] != main)]
    columns = list(dict.fromkeys(mine["column"]))
    marks = {row.column: f"{row.column} {arrow(row.direction)}".strip() for row in mine.itertuples()}
    starred = _still(rows) if group == APPEARANCE else set()
    cells = []
    for (frames, model), part in mine.groupby(["frames", "model"], sort=False):
        found = {row.column: _cell(row) for row in part.itertuples()}
        name = f"{model} *" if (frames, model) in starred else str(model)
        cells.append([name, str(frames), *(found.get(column, "") for column in columns)])
    return ["model", "frames", *(marks[column] for column in columns)], cells


def _still(rows: pd.DataFrame) -> set[tuple[int, str]]:
    """Return (frames, model) of every row of the table that moves too little for its looks to count."""
    moved = rows[(rows["column"] == "motion_amount") & (rows["value"] < STILL)]
    return set(zip(moved["frames"].tolist(), moved["model"].tolist(), strict=True))


def _cell(row: Any) -> str:
    if np.isnan(row.value):
        return "skipped" if row.skipped else ""
    return with_interval(row.value, row.low, row.high, int(row.cases))


def remarks(rows: pd.DataFrame) -> list[str]:
    """Return what hardly moves, and why values are missing or rest on fewer cases, one sentence per reason."""
    main = rows[(rows["main"] == "yes") & (rows["skipped"] != "")]
    places = pd.DataFrame(sorted(_still(rows)), columns=["frames", "model"])
    looks = rows["group"] == APPEARANCE
    still = [
        f"A star marks what moves less than {STILL:.0%} of the way asked (motion_amount): {_where(places)}. To keep "
        "the look of the given frame is easy without moving, so appearance is not a merit there, even the best."
    ]
    return (still if len(places) and looks.any() else []) + [
        f"{'/'.join(dict.fromkeys(part['column']))} ({_where(part)}): {reason}."
        for (_, reason), part in main.groupby(["metric", "skipped"], sort=False)
    ]


def _where(part: pd.DataFrame) -> str:
    lengths = part.groupby("model", sort=False)["frames"].unique()
    return "; ".join(
        f"{model} at {f'{listed} frames' if (listed := ', '.join(map(str, filter(None, frames)))) else length_words(0)}"
        for model, frames in lengths.items()
    )


def worst_first(
    entries: list[ReportedRun], direction: str = "lower", column: str = MAIN_METRIC
) -> dict[str, float]:
    """Return case id -> mean value of the models (of all rows when there are only references), worst first."""
    models = [entry for entry in entries if not entry.is_reference] or entries
    found: dict[str, list[float]] = {}
    for entry in models:
        for case, value in case_means(entry.by_case(column)).items():
            found.setdefault(case, []).append(value)
    means = {case: float(np.mean(values)) for case, values in found.items()}
    ordered = sorted(means, key=lambda case: (means[case] if direction == "higher" else -means[case], case))
    unscored = {str(case) for entry in entries for case in entry.cases["case"]} - set(means)
    return {case: means[case] for case in ordered} | dict.fromkeys(sorted(unscored), float("nan"))
