"""Everything that is said of one group of runs, computed once for the tables and for the page.

Shape legend: T frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from toraeval.report import claims, measures, tables
from toraeval.report.collect import Group, ReportedRun
from toraeval.report.measures import Measure, main_measure
from toraeval.report.people import people_lines
from toraeval.stats import LEVEL, MIN_CASES, bootstrap_band, case_means, holm, paired_difference
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.types import FloatArray, counted

OWN_LENGTH = 0
"""`frames` of a run whose cases differ in length; its curves are interpolated to `MOMENTS` shares of the clip."""

MOMENTS = 65

ERROR_OVER_TIME: dict[str, str] = {
    "model": "registry name; `static_reference` is a point that never moves, computed from the targets",
    "frames": "length of the clip; 0 where every case has its own",
    "frame": "frame index; 0 is the query frame and not scored; empty where clips differ in length",
    "time": "frame / (frames - 1)",
    "cases": "cases with a scored point in this frame",
    "error": "mean over cases of the mean over objects of |dx|+|dy| in pixels of the scored size",
    "low": "lower bound of a pointwise percentile bootstrap over cases",
    "high": "upper bound of a pointwise percentile bootstrap over cases",
}
"""Columns of `error_over_time.csv` and what each means."""


LIMIT = round(1 - LEVEL, 6)
BEST, NEAR = "best", "near"
MARKS = {
    BEST: "best mean of its length among the models",
    NEAR: "not significantly worse than the best of its length on the cases that both have",
}


@dataclass(frozen=True)
class Findings:
    """One group of runs and what follows from it.

    Attributes:
        group: the runs.
        rows: the result table, with the columns of `tables.columns_of`.
        further: every value of every metric, with the columns of `measures.VALUES`.
        ratios: TrajError of each model over that of Tora, with the columns of `claims.RATIOS`.
        said: heading -> sentences below the tables.
        main: the metric that the tables show first.
        floors: length -> mean tracker floor, NaN where it was not measured.
    """

    group: Group
    rows: pd.DataFrame
    further: pd.DataFrame
    ratios: pd.DataFrame
    said: Mapping[str, list[str]]
    main: Measure
    floors: Mapping[int, float]

    @classmethod
    def of(cls, group: Group) -> Findings:
        """Return what follows from a group."""
        rows, further, ratios = tables.table(group), measures.table(group), claims.ratios(group)
        said = {
            "Compared with Tora": claims.ratio_lines(ratios),
            "What people say": people_lines(group),
            "Mind this": [*claims.notes(group, rows), *measures.remarks(further)],
        }
        floors = {int(str(n)): float(part.mean()) for n, part in rows.groupby("frames")["tracker_floor"]}
        return cls(group, rows, further, ratios, said, main_measure(group), floors)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Mean error over time, with the columns of `ERROR_OVER_TIME`.

        Raises:
            UserError: stored arrays are damaged.
        """
        return error_over_time(self.group)

    @cached_property
    def marks(self) -> dict[tuple[str, int], tuple[str, str]]:
        """(label, frames) -> `BEST` or `NEAR`, and why; other rows are absent."""
        found: dict[tuple[str, int], tuple[str, str]] = {}
        for frames in self.group.lengths:
            models = [entry for entry in self.group.at(frames) if not entry.is_reference]
            found |= {(label, frames): mark for label, mark in _marks(self, models).items()}
        return found


def _marks(findings: Findings, models: list[ReportedRun]) -> dict[str, tuple[str, str]]:
    column, sign = findings.group.main_column, -1 if findings.main.direction == "higher" else 1
    table = findings.rows.set_index(["model", "frames"])[column]
    means = {entry.label: sign * float(table[entry.label, entry.frames]) for entry in models}
    means = {label: value for label, value in means.items() if np.isfinite(value)}
    if len(means) < 2:  # one model alone is not the best of anything
        return {}
    best = min(means, key=lambda label: means[label])
    found = {best: (BEST, MARKS[BEST])}
    if findings.main.of_set:
        return found
    by_label = {entry.label: entry for entry in models}
    mine = by_label[best].by_case(column)
    floor = findings.floors.get(by_label[best].frames, np.nan) if findings.main.has_floor else np.nan
    others = {
        label: paired_difference(by_label[label].by_case(column), mine)
        for label in means
        if label != best and set(case_means(by_label[label].by_case(column))) & set(case_means(mine))
    }
    adjusted = dict(zip(others, holm([other.p for other in others.values()]), strict=True))
    for label, other in others.items():
        cases, p = other.difference.cases, adjusted[label]
        if abs(other.difference.mean) < floor:
            found[label] = (NEAR, f"differs from {best} by less than the tracker's floor")
        elif cases >= MIN_CASES and not p < LIMIT:  # among few cases a test misses any difference
            said = f"p = {p:.2g} after Holm's correction" if np.isfinite(p) else "no test"
            power = other.sensitivity.words(findings.main.unit)
            shared = counted(cases, "shared case") + (f"; {power}" if power else "")
            found[label] = (NEAR, f"{MARKS[NEAR]}: {said}, {shared}")
    return found


def error_over_time(group: Group) -> pd.DataFrame:
    """Return mean e(t) per model and length, with the columns of `ERROR_OVER_TIME`; frame 0 is left out.

    There are no rows where another metric than `traj_error` is the main one.
    """
    parts = []
    for frames in group.lengths if group.main_metric == MAIN_METRIC else ():
        entries = group.at(frames)
        curves = {entry.label: entry.curves() for entry in entries}
        curves["static_reference"] = {
            case: curve for entry in entries for case, curve in entry.curves("static_error_T").items()
        }
        parts += [_curve_rows(label, frames, found) for label, found in curves.items() if found]
    if not parts:
        return pd.DataFrame(columns=list(ERROR_OVER_TIME))
    return pd.concat(parts, ignore_index=True)


def _curve_rows(label: str, frames: int, curves: dict[str, FloatArray]) -> pd.DataFrame:
    if frames == OWN_LENGTH:
        curves = {case: _over_time(curve) for case, curve in curves.items()}
    mean, low, high = bootstrap_band(curves)
    steps = np.arange(len(mean))
    rows = pd.DataFrame(
        {
            "model": label,
            "frames": frames,
            "frame": np.nan if frames == OWN_LENGTH else steps,
            "time": steps / max(len(mean) - 1, 1),
            "cases": np.isfinite(np.stack(list(curves.values()))).sum(axis=0),
            "error": mean,
            "low": low,
            "high": high,
        }
    )
    return rows[1:]


def _over_time(curve_T: FloatArray) -> FloatArray:
    """Return a curve at `MOMENTS` moments of equal distance, NaN before its first and after its last value."""
    scored = np.isfinite(curve_T)
    time = np.linspace(0.0, 1.0, len(curve_T))
    if not scored.any():
        return np.full(MOMENTS, np.nan)
    return np.interp(np.linspace(0.0, 1.0, MOMENTS), time[scored], curve_T[scored], left=np.nan, right=np.nan)
