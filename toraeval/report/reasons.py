"""Where a model is better than Tora and why: by kind of case, where windows of 16 frames meet, window by window.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toraeval.metrics.shared.readings import mean_over
from toraeval.report.claims import REFERENCE
from toraeval.report.collect import Group, ReportedRun
from toraeval.stats import bootstrap_mean, bootstrap_ratio, case_means, ratio_sensitivity
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.types import FloatArray

WINDOW = 16
"""New frames of a window of the embedded rivals; all models are looked at in the same frames."""

ALL = "all cases"
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "one object": ("objects", lambda value: int(value) == 1),
    "several objects": ("objects", lambda value: int(value) > 1),
    "nothing is hidden": ("occlusion", lambda value: value == "none"),
    "behind a panel": ("occlusion", lambda value: value == "panel"),
    "behind another object": ("occlusion", lambda value: value == "object"),
    "slow": ("speed", lambda value: value == "slow"),
    "fast": ("speed", lambda value: value == "fast"),
    "in view where windows meet": ("seam", lambda value: value == "visible"),
    "hidden where windows meet": ("seam", lambda value: value == "hidden"),
}
"""Kind of case -> tag of the suite, and which of its values make a case one of this kind."""

IN_VIEW, HIDDEN = "objects in view where windows meet", "objects hidden where windows meet"
RATIO, ERROR, SHARE = "ratio", "error", "share_of_difference"
DETECTABLE, NEEDED = "detectable_ratio", "cases_needed"
BEFORE, AFTER, STEP = "error_before_seam", "error_after_seam", "step_at_seam"
WINDOW_ERROR, LIKENESS, PRESENT = "error_in_window", "likeness_in_window", "present_in_window"
MEASURES: dict[str, str] = {
    RATIO: "mean TrajError / that of Tora over the cases that both have",
    DETECTABLE: "smallest distance of that ratio from 1 that a paired test at 5 % finds in these cases with 80 % "
    "power; from 6 cases on",
    NEEDED: "cases of the kind with which a ratio as far from 1 as this one is found with that power",
    ERROR: "mean TrajError, pixels",
    SHARE: "what these cases add to the difference to Tora's mean over all cases, pixels; kinds of a tag add up to it",
    BEFORE: f"error in the last scored frame of a window of {WINDOW} frames, pixels, mean over objects and seams",
    AFTER: "error of the same objects in the first scored frame of the next window, pixels",
    STEP: "the second minus the first, pixels",
    WINDOW_ERROR: "mean TrajError in the frames of one window, pixels",
    LIKENESS: "cross-correlation of what is tracked with the object in the first frame, 1 - appearance_drift",
    PRESENT: "share of scored frames in which the object looks like itself (object_survival_frames)",
}
"""Measures of `claims.csv` and what each means."""

CLAIMS: dict[str, str] = {
    "frames": "length",
    "model": "label of the model",
    "measure": "see `measures`",
    "kind": "which cases, or which objects of them",
    "window": f"number of the window of {WINDOW} new frames, from 0; empty for the whole clip",
    "value": "mean over cases",
    "low": "lower bound of the 95 % bootstrap interval over cases; empty below 8 cases",
    "high": "upper bound of it",
    "cases": "cases that entered",
}
"""Columns of `claims.csv` and what each means."""

Row = tuple[Any, ...]


def reasons(group: Group) -> pd.DataFrame:
    """Return every measure of every model, with the columns of `CLAIMS`; empty without Tora or without a rival."""
    rows: list[Row] = []
    for frames in group.lengths if group.main_metric == MAIN_METRIC else ():
        entries = [entry for entry in group.at(frames) if entry.is_trained]
        base = next((entry for entry in entries if entry.run.model == REFERENCE), None)
        if base is None or len(entries) < 2:
            continue
        for entry in entries:
            rows += [(frames, entry.label, *row) for row in _by_kind(entry, base)]
            rows += [(frames, entry.label, *row) for row in _by_window(entry)]
    return pd.DataFrame(rows, columns=list(CLAIMS))


def kinds_of(entry: ReportedRun) -> dict[str, set[str]]:
    """Return the cases of each kind that the suite tells apart, all cases first; kinds without a case are left out."""
    found = {ALL: {str(case) for case in entry.cases["case"]}}
    for kind, (tag, fits) in KINDS.items():
        if f"tag_{tag}" in entry.cases:
            tagged = entry.cases[["case", f"tag_{tag}"]].dropna()
            cases = {str(case) for case, value in tagged.itertuples(index=False) if fits(value)}
            if cases:
                found[kind] = cases
    return found


def _by_kind(entry: ReportedRun, base: ReportedRun) -> list[Row]:
    mine, other = entry.by_case(MAIN_METRIC), base.by_case(MAIN_METRIC)
    means, reference = case_means(mine), case_means(other)
    shared = means.keys() & reference.keys()
    rows: list[Row] = []
    for kind, cases in kinds_of(base).items():
        here = {case: values for case, values in mine.items() if case in cases}
        rows.append(_row(ERROR, kind, None, bootstrap_mean(here)))
        if entry is base:
            continue
        ratio, seen = bootstrap_ratio(here, other), ratio_sensitivity(here, other)
        rows.append(_row(RATIO, kind, None, ratio))
        rows += [
            (measure, kind, np.nan, value, np.nan, np.nan, ratio.cases)
            for measure, value in ((DETECTABLE, seen.detectable), (NEEDED, seen.cases_needed))
            if np.isfinite(value)
        ]
        apart = [means[case] - reference[case] for case in sorted(shared & cases)]
        share = sum(apart) / len(shared) if shared else np.nan
        rows.append((SHARE, kind, np.nan, share, np.nan, np.nan, len(apart)))
    return rows


@dataclass(frozen=True)
class Seam:
    """One object where a window ends and the next one begins; `number` is that of the window that ends."""

    number: int
    hidden: bool
    before: float
    after: float


def seams_of(errors_NT: FloatArray) -> list[Seam]:
    """Return what happens to each object at each seam where it is scored on both sides.

    Args:
        errors_NT: pixels, NaN where the target is not to be seen; frame 0 is given.
    """
    found = []
    for row in errors_NT:
        for number, last in enumerate(range(WINDOW, len(row) - 1, WINDOW)):
            ending, beginning = row[last - WINDOW + 1 : last + 1], row[last + 1 : last + 1 + WINDOW]
            ending, beginning = ending[np.isfinite(ending)], beginning[np.isfinite(beginning)]
            if ending.size and beginning.size:
                hidden = not np.isfinite(row[last])
                found.append(Seam(number, hidden, float(ending[-1]), float(beginning[0])))
    return found


def window_means(values_NT: FloatArray) -> list[float]:
    """Return the mean over objects of their mean in each window of frames 1 to 16, 17 to 32, ..."""
    starts = range(1, values_NT.shape[1], WINDOW)
    return [
        float(mean_over(mean_over(values_NT[:, start : start + WINDOW], axis=1), axis=0)) for start in starts
    ]


def _by_window(entry: ReportedRun) -> list[Row]:
    """Return errors at the seams and all means of single windows, for clips that have more than one window."""
    if entry.frames <= WINDOW + 1:
        return []
    values: dict[tuple[str, str, int | None], dict[str, list[float]]] = {}
    for sample, case in zip(entry.cases["sample"], entry.cases["case"], strict=True):
        for key, numbers in _of_sample(entry.run.load_arrays(str(sample))).items():
            values.setdefault(key, {}).setdefault(str(case), []).append(float(np.mean(numbers)))
    return [_row(*key, bootstrap_mean(found)) for key, found in sorted(values.items(), key=_order)]


def _order(item: tuple[tuple[str, str, int | None], Any]) -> tuple[int, str, int]:
    (measure, kind, window), _ = item
    return list(MEASURES).index(measure), kind, -1 if window is None else window


def _of_sample(arrays: Mapping[str, FloatArray]) -> dict[tuple[str, str, int | None], list[float]]:
    """Return (measure, kind, window) -> values of one sample, to be averaged."""
    found: dict[tuple[str, str, int | None], list[float]] = {}
    errors = arrays.get(f"{MAIN_METRIC}/errors_NT")
    if errors is None:
        return found
    for seam in seams_of(np.atleast_2d(errors)):
        kind = HIDDEN if seam.hidden else IN_VIEW
        for window in (None, seam.number):
            for measure, value in (
                (BEFORE, seam.before),
                (AFTER, seam.after),
                (STEP, seam.after - seam.before),
            ):
                found.setdefault((measure, kind, window), []).append(value)
    drift, present = arrays.get("appearance_drift/drift_NT"), arrays.get("object_survival/present_NT")
    for measure, values in (
        (WINDOW_ERROR, errors),
        (LIKENESS, None if drift is None else 1 - drift),
        (PRESENT, present),
    ):
        for window, mean in enumerate([] if values is None else window_means(np.atleast_2d(values))):
            if np.isfinite(mean):
                found[measure, ALL, window] = [mean]
    return found


def _row(measure: str, kind: str, window: int | None, found: Any) -> Row:
    return measure, kind, np.nan if window is None else window, found.mean, found.low, found.high, found.cases
