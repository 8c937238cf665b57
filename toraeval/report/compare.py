"""Two models side by side: for every metric both have, the paired difference and what may be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.report import measures
from toraeval.report.collect import FLOOR_MODEL, Group, ReportedRun, differing_clips
from toraeval.report.measures import Measure
from toraeval.stats import (
    ALPHA,
    case_means,
    holm,
    interval_sensitivity,
    paired_difference,
    without_interval,
)
from toraeval.store.keys import canonical
from toraeval.store.sealed import require_json
from toraeval.store.tables.run import RECORD, RunResult, length_words, load_run
from toraeval.types import UserError, counted

COMPARISON: dict[str, str] = {
    "frames": "length",
    "metric": "registry name of the metric",
    "column": "its value",
    "direction": "which is better",
    "a": "mean of A over the shared cases, or its value of the whole set",
    "b": "the same of B",
    "cases": "cases that both have",
    "difference": "a - b",
    "low": "lower bound of the 95 % BCa bootstrap interval of the mean difference over cases; empty below 8 cases",
    "high": "upper bound of it",
    "p": "two-sided sign-flip permutation test over cases, exact up to 16 cases",
    "p_holm": "p after Holm's correction over all rows of this table",
    "effect": "mean difference / its standard deviation over cases (Cohen's d_z)",
    "detectable": "smallest true difference that a paired test at 5 % finds in these cases with 80 % power, before "
    "Holm's correction; empty below 6 cases. Of a set: from both intervals, as if they were independent",
    "cases_needed": "cases with which a true difference as large as this one is found with that power; empty where the "
    "difference is 0",
    "a_lower": "cases on which A is lower",
    "b_lower": "cases on which B is lower",
    "floor": "what the tracker makes of a perfect video, in the same column",
    "verdict": "in words",
    "forced": "why these runs should not be compared; empty where they may be",
}
"""Columns of the comparison and what each means."""


@dataclass(frozen=True)
class Pair:
    """Two runs and the reasons why their numbers do not compare (none if they do)."""

    a: RunResult
    b: RunResult
    problems: tuple[str, ...]


def problems_between(a: RunResult, b: RunResult) -> tuple[str, ...]:
    """Return why two runs measure different things: suite, size, clips, tracker, or a metric's definition."""
    found = [
        f"{name} {first} against {second}"
        for name in ("suite", "frames", "width", "height", "tracker")
        if (first := getattr(a, name)) != (second := getattr(b, name))
    ]
    prints_a, prints_b = a.record.get("fingerprints", {}), b.record.get("fingerprints", {})
    for part in ("suite", "tracker"):
        same_name = getattr(a, part) == getattr(b, part)
        if same_name and canonical(prints_a.get(part)) != canonical(prints_b.get(part)):
            found.append(f"options of the {part}: {_differing(prints_a.get(part), prints_b.get(part))}")
    metrics_a, metrics_b = prints_a.get("metrics", {}), prints_b.get("metrics", {})
    found += [
        f"definition of {name}: {_differing(metrics_a[name], metrics_b[name])}"
        for name in sorted(metrics_a)
        if name in metrics_b and canonical(metrics_a[name]) != canonical(metrics_b[name])
    ]
    clips = differing_clips(a, b)
    return (*found, *([clips] if clips and not found else []))


def _differing(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str:
    a, b = a or {}, b or {}
    names = [name for name in sorted({*a, *b}) if a.get(name) != b.get(name)]
    return (
        ", ".join(f"{name} {a.get(name)} against {b.get(name)}" for name in names)
        or "not recorded in one run"
    )


def find_pairs(a: str, b: str, results: Path, wanted: Mapping[str, str]) -> list[Pair]:
    """Return the pairs of runs that two names stand for.

    Args:
        a, b: run folders, or names of models inside `results`.
        results: folder with `runs/`.
        wanted: restricts models by `frames`, `suite`, `tracker`; empty values restrict nothing.

    Raises:
        UserError: a name without a run, or several runs of one model in a setting, none or several of them of the
            last bench.
    """
    runs_a, runs_b = _runs(a, results, wanted), _runs(b, results, wanted)
    if len(runs_a) == len(runs_b) == 1:
        return [Pair(runs_a[0], runs_b[0], problems_between(runs_a[0], runs_b[0]))]
    benched = {results / name for name in (require_json(results / RECORD) or {}).get("runs", {})}
    settings_a, settings_b = _by_setting(a, runs_a, benched), _by_setting(b, runs_b, benched)
    shared = [setting for setting in settings_a if setting in settings_b]
    if not shared:
        raise UserError(
            f"compare: {a} and {b} have no run with the same suite, size and tracker; "
            f"{a}: {'; '.join(map(_words, settings_a))}. {b}: {'; '.join(map(_words, settings_b))}"
        )
    chosen = [(settings_a[setting], settings_b[setting]) for setting in sorted(shared)]
    return [Pair(first, second, problems_between(first, second)) for first, second in chosen]


Setting = tuple[str, int, int, int, str]


def _runs(name: str, results: Path, wanted: Mapping[str, str]) -> list[RunResult]:
    if (Path(name) / RECORD).is_file():
        return [load_run(name)]
    folders = sorted(path.parent for path in (results / "runs").glob(f"*/{name}/*/{RECORD}"))
    if not folders:
        known = sorted({path.parent.parent.name for path in (results / "runs").glob(f"*/*/*/{RECORD}")})
        raise UserError(
            f"compare: no run folder and no model in {results}/runs is called '{name}'; "
            f"models there: {', '.join(known) or 'none'}"
        )
    runs = [
        run
        for run in map(load_run, folders)
        if all(str(getattr(run, k)) == v for k, v in wanted.items() if v)
    ]
    if not runs:
        asked = ", ".join(f"{key}={value}" for key, value in wanted.items() if value)
        raise UserError(
            f"compare: {name} has {counted(len(folders), 'run')} in {results}/runs, none with {asked}"
        )
    return runs


def _by_setting(name: str, runs: list[RunResult], benched: set[Path]) -> dict[Setting, RunResult]:
    """Return the one run of each setting; of several, the one that the last bench covers."""
    found: dict[Setting, list[RunResult]] = {}
    for run in runs:
        found.setdefault((run.suite, run.frames, run.width, run.height, run.tracker), []).append(run)
    for setting, several in found.items():
        found[setting] = [run for run in several if run.run_dir in benched] or several
        if len(found[setting]) > 1:
            raise UserError(
                f"compare: {name} has several runs at {_words(setting)}: "
                f"{' and '.join(str(run.run_dir) for run in found[setting])}; name the folder you mean"
            )
    return {setting: several[0] for setting, several in found.items()}


def _words(setting: Setting) -> str:
    suite, frames, width, height, tracker = setting
    return ", ".join(
        filter(None, (suite, length_words(frames), f"{width}x{height}" if width else "", tracker))
    )


def compare(pairs: list[Pair]) -> pd.DataFrame:
    """Return one row per length and shared metric, with the columns of `COMPARISON`, Holm's correction over all."""
    rows: list[dict[str, Any]] = []
    for pair in pairs:
        entries = tuple(
            ReportedRun(run, label, run.cases) for run, label in zip((pair.a, pair.b), "ab", strict=True)
        )
        both = [set(run.record.get("fingerprints", {}).get("metrics", {})) for run in (pair.a, pair.b)]
        for measure in measures.measures(Group.of(entries)):
            if all(measure.name in names for names in both):
                rows += _compared(pair, entries, measure)
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
        row["verdict"] = verdict(row)
    return pd.DataFrame(rows, columns=[*COMPARISON, "unit", "name_a", "name_b"])


def _compared(pair: Pair, entries: tuple[ReportedRun, ...], measure: Measure) -> list[dict[str, Any]]:
    names = _names(pair)
    shared = {
        "frames": pair.a.frames if pair.a.frames == pair.b.frames else f"{pair.a.frames}/{pair.b.frames}",
        "metric": measure.name,
        "direction": measure.direction,
        "unit": measure.unit,
        "forced": "; ".join(pair.problems),
        "floor": np.nan,
        "name_a": names[0],
        "name_b": names[1],
    }
    read = _set_row if measure.of_set else _case_row
    return [
        {**shared, "column": column, **row}
        for column in measure.main
        if (row := read(pair, entries, measure, column)) is not None
    ]


def _names(pair: Pair) -> tuple[str, str]:
    if pair.a.model != pair.b.model:
        return pair.a.model, pair.b.model
    return (f"{pair.a.model} [{pair.a.run_dir.name[-10:]}]", f"{pair.b.model} [{pair.b.run_dir.name[-10:]}]")


def _case_row(
    pair: Pair, entries: tuple[ReportedRun, ...], measure: Measure, column: str
) -> dict[str, Any] | None:
    means = [case_means(entry.by_case(column)) for entry in entries]
    cases = set(means[0]) & set(means[1])
    if not cases:
        return None
    found = paired_difference(means[0], means[1])
    floor = _floor(pair.a, column, cases) if measure.has_floor else np.nan
    return {
        "a": float(np.mean([means[0][case] for case in sorted(cases)])),
        "b": float(np.mean([means[1][case] for case in sorted(cases)])),
        "cases": found.difference.cases,
        "difference": found.difference.mean,
        "low": found.difference.low,
        "high": found.difference.high,
        "p": found.p,
        "effect": found.effect,
        **found.sensitivity._asdict(),
        "a_lower": found.a_lower,
        "b_lower": found.b_lower,
        "floor": floor,
    }


def _floor(run: RunResult, column: str, cases: set[str]) -> float:
    """Return the mean of a column over the ground truth of these cases, NaN where it was not measured."""
    if column == run.main_column and "tracker_floor" in run.cases:
        mine = run.cases[run.cases["case"].isin(cases)]
        return float(pd.to_numeric(mine["tracker_floor"], errors="coerce").mean())
    for record in sorted((run.run_dir.parent.parent / FLOOR_MODEL).glob(f"*/{RECORD}")):
        truth = load_run(record.parent)
        if column in truth.cases and not problems_between(run, truth):
            return float(truth.cases.loc[truth.cases["case"].isin(cases), column].mean())
    return float("nan")


def _set_row(
    pair: Pair, entries: tuple[ReportedRun, ...], measure: Measure, column: str
) -> dict[str, Any] | None:
    stored = [run.set_scores.get(measure.name, {}) for run in (pair.a, pair.b)]
    values = [side.get("values", {}).get(column) for side in stored]
    if None in values or stored[0]["samples"] != stored[1]["samples"]:
        return None
    bounds = [[side["values"].get(f"{column}{end}", np.nan) for end in measures.BOUNDS] for side in stored]
    apart = bounds[0][1] < bounds[1][0] or bounds[1][1] < bounds[0][0]
    few = without_interval(len(stored[0]["samples"]))
    known = bool(np.isfinite(bounds).all()) and not few
    difference = values[0] - values[1]
    seen = interval_sensitivity(difference, bounds[0], bounds[1], len(stored[0]["samples"]))
    return {
        "a": values[0],
        "b": values[1],
        "cases": len(stored[0]["samples"]),
        "difference": difference,
        "p": np.nan,
        **(seen._asdict() if known else {}),
        "of_set": "intervals apart"
        if known and apart
        else "intervals overlap"
        if known
        else few or "no interval",
    }


def verdict(row: Mapping[str, Any]) -> str:
    """Return what may be said of one row, in words."""
    difference, floor = row["difference"], row["floor"]
    better = row["name_a"] if (difference < 0) == (row["direction"] != "higher") else row["name_b"]
    amount = f"{abs(difference):.3g} {row['unit']}".strip()
    kind = "better" if row["direction"] in ("lower", "higher") else "lower"
    if difference == 0:
        said = "equal"
    elif abs(difference) < floor:
        limit = f"{floor:.2g} {row['unit']}".strip()
        said = f"smaller than the tracker's floor ({limit}): says nothing"
    elif "of_set" in row:
        said = f"{better} is {kind} by {amount}; one value per set, no test ({row['of_set']})"
    elif row["p_holm"] <= ALPHA:
        said = f"{better} is {kind} by {amount}"
    else:
        said = f"no difference that {counted(row['cases'], 'case')} can show"
    return f"FORCED, not comparable: {said}" if row["forced"] else said
