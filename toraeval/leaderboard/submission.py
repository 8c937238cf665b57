"""Check the runs of a submission: schema, hashes, completeness, and whether the numbers follow from what is stored.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.leaderboard.contents import is_folder_name, machine_paths, run_folders, stray
from toraeval.metrics.shared.paths import per_object
from toraeval.report import measures
from toraeval.report.collect import grouped
from toraeval.report.tables import table
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.store.slot import SCORE, TRACKS, VIDEO_META
from toraeval.store.tables.rows import END, FIRST
from toraeval.store.tables.run import CASES, RECORD, RunResult, load_run
from toraeval.types import UserError, counted

SCHEMA: dict[str, type] = {
    "command": str, "finished": bool, "partial": bool, "run": dict, "counts": dict, "failed": list, "seeds": list,
    "samples": list, "video_sha256": dict, "fingerprints": dict, "config": dict, "packages": dict, "machine": dict,
    "files": dict,
}  # fmt: skip
"""What `record.json` of a run must hold."""
PARTS = ("suite", "generator", "tracker", "metrics")
TOLERANCE = 1e-6  # relative; values are stored as float64 and means may be summed in another order


@dataclass(frozen=True)
class CheckedRun:
    """One run of a submission.

    Attributes:
        folder: the run folder.
        run: its content, None where it cannot be read.
        problems: what is wrong with it, one line each; none if it may be ranked.
        notes: what a reader must know, e.g. that it covers a part of its suite.
    """

    folder: Path
    run: RunResult | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check(folder: Path) -> tuple[list[CheckedRun], list[str]]:
    """Check every run below a folder.

    Returns:
        (the runs, what else is wrong with the folder).

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; give the folder of a submission, see docs/leaderboard.md")
    folders = run_folders(folder)
    if not folders:
        raise UserError(
            f"{folder}: no run below this folder (record.json beside cases/); "
            "make a submission with: python -m toraeval export results out=my_submission"
        )
    return [check_run(one) for one in folders], list(stray(folder))


def check_run(folder: Path) -> CheckedRun:
    """Check one run folder; nothing is computed anew but TrajError, from the stored tracks."""
    run = None
    try:
        run = load_run(folder)
        problems = list(_record(run.record))
        if not problems:
            problems = [*_table(run), *_samples(run)]
        if not problems:
            _summed_up(run)
        problems += _paths(folder)
        return CheckedRun(folder, run, tuple(problems), tuple(_notes(run)))
    except UserError as error:
        return CheckedRun(folder, run, (str(error),), ())
    except MADE_UP as error:
        return CheckedRun(folder, run, (f"{folder} cannot be read: {type(error).__name__}: {error}",), ())


MADE_UP = (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RecursionError, MemoryError)
"""What reading tables and records ends in that nobody's run wrote."""


def _summed_up(run: RunResult) -> None:
    """Make the tables of a run as a leaderboard will; definitions or values of sets that cannot be used end here."""
    for group in grouped([run]):
        table(group)
        measures.table(group)


def _record(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the schema of a record."""
    for name, kind in SCHEMA.items():
        if not isinstance(record.get(name), kind):
            yield f"{RECORD}: {name} is missing or not of type {kind.__name__}; run its command again, which writes it"
            return
    for name in PARTS:
        if not isinstance(record["fingerprints"].get(name), dict):
            yield f"{RECORD}: fingerprints.{name} is missing; run its command again, which writes it"
    if CASES not in record["files"]:
        yield f"{RECORD}: no hash of {CASES}; run its command again, which writes it"
    if not record["finished"]:
        yield f"{RECORD}: the run was not finished; resume it: {record['command']}"


def _table(run: RunResult) -> Iterator[str]:
    """Yield what is wrong with `cases.csv`: columns, samples that are missing or failed, rows of another run."""
    absent = [name for name in (*FIRST, *END, "tracker") if name not in run.cases]
    if absent:
        yield f"{CASES}: no column {', '.join(absent)}; run its command again, which writes it"
        return
    rows = run.cases.set_index("sample")
    doubled = rows.index[rows.index.duplicated()].unique()
    if len(doubled):
        yield f"{CASES}: several rows of {', '.join(map(str, doubled[:3]))}"
        return
    samples = [str(name) for name in run.record["samples"]]
    missing = [name for name in samples if name not in rows.index]
    if missing:
        yield f"incomplete: no row for {len(missing)} of {counted(len(samples), 'sample')}, e.g. {missing[0]}"
    bad = rows[rows["status"] != "ok"]
    if len(bad):
        first = bad.iloc[0]
        why = first["error"] if isinstance(first["error"], str) else first["status"]
        yield f"incomplete: no score for {len(bad)} of {counted(len(rows), 'sample')}, e.g. {bad.index[0]}: {why}"
    for name in ("model", "suite", "frames", "height", "width", "tracker", "fingerprint"):
        stated = run.record["run"].get(name)
        if stated not in (0, None) and set(rows[name].astype(type(stated))) != {stated}:
            yield f"{CASES}: {name} is not {stated} in every row, as {RECORD} says"


def _samples(run: RunResult) -> Iterator[str]:
    """Yield what differs between the table and the files of each sample; at most five lines."""
    told = 0
    for row in run.cases.to_dict("records"):
        for problem in _sample(run, {str(name): value for name, value in row.items()}):
            yield f"{row['sample']}: {problem}"
            told += 1
            if told == 5:
                yield "further samples are not listed"
                return


def _sample(run: RunResult, row: Mapping[str, Any]) -> Iterator[str]:
    name = str(row["sample"])
    if not is_folder_name(name):
        yield "is not the name of a sample's folder"
        return
    if row["status"] != "ok":
        return
    slot = run.slot(name)
    try:
        stored = run.load_case(name)
        scores, video = slot.score_file(), slot.video_meta() or {}
    except (UserError, KeyError, ValueError, TypeError) as error:
        yield str(error)
        return
    hashes = {
        str(video.get("sha256")),
        str(row["video_sha256"]),
        str(run.record["video_sha256"].get(name, video.get("sha256"))),
    }
    if len(hashes) > 1:
        yield f"the frames have another hash in {VIDEO_META} than in {CASES} or {RECORD}"
    values = {key: value for found in scores["metrics"].values() for key, value in found["values"].items()}
    wrong = [key for key, value in values.items() if key in row and not _equal(row[key], value)]
    if wrong:
        yield f"{wrong[0]} is {row[wrong[0]]} in {CASES} and {values[wrong[0]]} in {SCORE}"
    elif MAIN_METRIC in values:
        found = _recomputed(
            stored.target_NT2, stored.tracks_NT2, stored.arrays.get(f"{MAIN_METRIC}/errors_NT")
        )
        if not _equal(found, values[MAIN_METRIC]):
            yield f"{MAIN_METRIC} is {values[MAIN_METRIC]} in {CASES}, but {found} from {TRACKS}"


def _recomputed(target_NT2: Any, tracked_NT2: Any, errors_NT: Any) -> float:
    """Return TrajError of the stored tracks in the frames that were scored, NaN where these are not known."""
    if errors_NT is None or np.shape(errors_NT) != np.shape(target_NT2)[:2]:
        return math.nan
    offset_NT2 = np.abs(np.asarray(tracked_NT2) - np.asarray(target_NT2))
    return float(per_object(np.where(np.isfinite(errors_NT), offset_NT2.sum(axis=-1), np.nan)))


def _equal(a: Any, b: Any) -> bool:
    try:
        return math.isclose(float(a), float(b), rel_tol=TOLERANCE, abs_tol=1e-9)
    except (TypeError, ValueError):
        return bool(pd.isna(a) and pd.isna(b))


def _paths(folder: Path) -> Iterator[str]:
    """Yield the files that name places of the machine they were made on."""
    for path in sorted((*folder.glob("*.json"), *folder.glob("*.csv"), *folder.glob("cases/*/*.json"))):
        found = machine_paths(path)
        if found:
            more = f" and {len(found) - 1} more" if found[1:] else ""
            yield (
                f"{path.relative_to(folder)} names {found[0]}{more}, places on one machine: run the command again with "
                "relative paths, e.g. results=results, and nothing is computed anew"
            )


def _notes(run: RunResult) -> Iterator[str]:
    if run.record.get("partial"):
        cases = run.cases["case"].nunique()
        yield f"covers {counted(cases, 'case')}, a part of its suite: ranked only with runs of the same cases"
    git = run.record.get("git") or {}
    if git.get("dirty_diff_sha256"):
        yield "made by a checkout with changes that were not committed"
