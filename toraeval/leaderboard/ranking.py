"""Runs of several people in one table: only those that measure the same thing on the same cases share a board."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.report import measures
from toraeval.report.collect import Group, ReportedRun
from toraeval.report.texts import csv_text, markdown_text
from toraeval.stats import ALPHA, Sensitivity, bootstrap_mean, holm, paired_difference, with_interval
from toraeval.store.keys import digest
from toraeval.store.tables.run import RECORD, RunResult
from toraeval.types import counted

LEADERBOARD: dict[str, str] = {
    "board": "rows of one board measured the same thing on the same cases; never compare across boards",
    "suite": "suite and version",
    "frames": "frames asked for; 0 where every case has its own length",
    "size": "width x height in pixels",
    "tracker": "what measured the path in the videos",
    "fingerprint": "suite, main metric, tracker, frames, size",
    "rank": "by the main value; empty for references",
    "model": "name in the run",
    "submission": "folder that the run came in",
    "value": "main value, mean over cases",
    "low": "lower bound of the 95 % bootstrap interval over cases; empty below 8 cases",
    "high": "upper bound of it",
    "metric": "name of the main value",
    "p_to_best": "paired sign-flip test against the first of the board, Holm-corrected; empty for the first",
    "as_good_as_best": "yes where that test finds no difference at 5 %, and for the first itself",
    "detectable": "smallest true difference to the first that such a test at 5 % finds with 80 % power, before "
    "Holm's correction; empty below 6 cases",
    "cases_needed": "cases with which a true difference as large as the one to the first is found with that power",
    "cases": "cases of the board",
    "weights": "first digits of the hash of everything that makes the model's pixels",
    "record": "path from this file to the run's record",
}
"""Columns of `leaderboard.csv`; the main value of every further metric follows."""


@dataclass(frozen=True)
class SubmittedRun:
    """One run and the submission that it came in."""

    submission: str
    run: RunResult


@dataclass(frozen=True)
class Board:
    """Runs that may be ranked together.

    Attributes:
        key: first digits of a hash over what they share.
        entries: submission -> as the report shows a run, in the order of the submissions.
    """

    key: str
    entries: tuple[tuple[str, ReportedRun], ...]

    @property
    def group(self) -> Group:
        """The runs as one group of the report."""
        return Group.of(entry for _, entry in self.entries)


def named(folders: Sequence[Path]) -> dict[Path, str]:
    """Return a name per submission: that of its folder, with as many of its parents as make it unique."""
    paths = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return dict(zip(folders, names, strict=True))


def boards(submitted: Iterable[SubmittedRun]) -> list[Board]:
    """Sort runs into boards; a run that came twice stands once."""
    parts: dict[str, list[tuple[str, ReportedRun]]] = {}
    seen: set[str] = set()
    for one in submitted:
        identity = _identity(one.run)
        if identity in seen:
            continue
        seen.add(identity)
        entry = ReportedRun(one.run, one.run.model, one.run.cases)
        parts.setdefault(_board_key(one.run), []).append((one.submission, entry))
    found = [Board(key, tuple(entries)) for key, entries in parts.items()]
    return sorted(found, key=lambda board: (board.group.name, board.entries[0][1].frames, board.key))


def _board_key(run: RunResult) -> str:
    samples = sorted(run.cases["sample"].astype(str))
    prints = run.record["fingerprints"]
    shared = [prints["suite"], prints["tracker"], run.main_metric, prints["metrics"].get(run.main_metric)]
    facts = [run.frames, run.height, run.width, sorted(set(run.cases["fingerprint"].astype(str)))]
    return digest("board", shared, facts, samples)[:10]


def _identity(run: RunResult) -> str:
    rows = run.cases.drop(columns=["seconds"], errors="ignore").to_csv(index=False)
    return digest(run.model, run.record["fingerprints"], rows)


def table(found: Sequence[Board], folder: Path) -> pd.DataFrame:
    """Return one row per run, boards one below the other, best first, references where their value puts them.

    Args:
        found: the boards.
        folder: where the table will lie; records are given relative to it.
    """
    rows = [row for board in found for row in _rows(board, folder)]
    further = dict.fromkeys(name for row in rows for name in row if name not in LEADERBOARD)
    return pd.DataFrame(rows, columns=[*LEADERBOARD, *further])


def _rows(board: Board, folder: Path) -> list[dict[str, Any]]:
    group = board.group
    main = measures.main_measure(group)
    column = group.main_column
    further = _further(board, group)
    rows = []
    for submission, entry in board.entries:
        found = measures.values_of(entry, main)[column] if main.of_set else vars(_interval(entry, column))
        value = found["value"] if main.of_set else found["mean"]
        rows.append({
            "board": board.key, "suite": group.suite, "frames": entry.frames, "size": group.size,
            "tracker": group.tracker, "fingerprint": str(entry.cases["fingerprint"].iloc[0]),
            "rank": None, "model": entry.label, "submission": submission, "value": value,
            "low": found["low"], "high": found["high"], "metric": column, "p_to_best": np.nan,
            "as_good_as_best": "", **dict.fromkeys(Sensitivity._fields, np.nan),
            "cases": int(entry.cases["case"].nunique()),
            "weights": digest(entry.run.record["fingerprints"]["generator"])[:12],
            "record": os.path.relpath(entry.run.run_dir / RECORD, folder),
            **further[id(entry)], "entry": entry,
        })  # fmt: skip
    sign = -1.0 if main.direction == "higher" else 1.0
    rows.sort(key=lambda row: (np.isnan(row["value"]), sign * row["value"], row["model"], row["submission"]))
    _rank([row for row in rows if not row["entry"].is_reference], column, of_set=main.of_set)
    return [{name: value for name, value in row.items() if name != "entry"} for row in rows]


def _interval(entry: ReportedRun, column: str) -> Any:
    return bootstrap_mean(entry.by_case(column))


def _rank(rows: list[dict[str, Any]], column: str, of_set: bool) -> None:
    """Fill in the ranks, and which runs the cases cannot tell from the first; equal values share a rank."""
    for place, row in enumerate(rows):
        same = place > 0 and row["value"] == rows[place - 1]["value"]
        row["rank"] = rows[place - 1]["rank"] if same else place + 1
    if not rows or of_set:
        return
    first = rows[0]["entry"].by_case(column)
    compared = [paired_difference(row["entry"].by_case(column), first) for row in rows[1:]]
    rows[0]["as_good_as_best"] = "yes"
    for row, found, p in zip(rows[1:], compared, holm([found.p for found in compared]), strict=True):
        row |= found.sensitivity._asdict()
        row["p_to_best"] = p
        row["as_good_as_best"] = "no" if p < ALPHA else "yes"


def _further(board: Board, group: Group) -> dict[int, dict[str, float]]:
    """Return the main values of every further metric per run; of another definition than most of the board's, none."""
    found: dict[int, dict[str, float]] = {id(entry): {} for _, entry in board.entries}
    for measure in measures.measures(group):
        if measure.name == group.main_metric:
            continue
        prints = {
            id(entry): digest(entry.run.record["fingerprints"]["metrics"][measure.name])
            for _, entry in board.entries
            if measure.name in entry.run.record["fingerprints"]["metrics"]
        }
        usual = Counter(prints.values()).most_common(1)[0][0] if prints else None
        for _, entry in board.entries:
            if prints.get(id(entry)) == usual:
                values = measures.values_of(entry, measure)
                found[id(entry)] |= {name: values[name]["value"] for name in measure.main if name in values}
    return found


def to_markdown(rows: pd.DataFrame, left_out: Mapping[str, str]) -> str:
    """Return the boards as Markdown, every run linked to its record, and what was left out."""
    from tabulate import tabulate

    parts = [
        "# Leaderboard\n",
        "Rows of one board measured the same thing on the same cases. A star marks the first of a board and every run "
        "that the cases cannot tell from it (paired test, 5 %, Holm). References have no rank.\n",
    ]
    for key, board in rows.groupby("board", sort=False):
        first = board.iloc[0]
        length = f"{first['frames']} frames" if first["frames"] else "clips of their own length"
        further = [name for name in rows if name not in LEADERBOARD and board[name].notna().any()]
        heads = ["rank", "model", "submission", str(first["metric"]), *map(str, further), "record"]
        cells = [_cells(row, further) for row in board.to_dict("records")]
        parts += [
            f"## {markdown_text(first['suite'])}, {length}, {first['size']}, {markdown_text(first['tracker'])}\n",
            f"Board `{key}`, {counted(first['cases'], 'case')}, fingerprint `{first['fingerprint']}`.\n",
            tabulate(cells, headers=heads, tablefmt="pipe", disable_numparse=True) + "\n",
        ]
    if left_out:
        parts += [
            "## Left out\n",
            *(f"- {markdown_text(n)}: {markdown_text(why, 400)}" for n, why in left_out.items()),
            "",
        ]
    return "\n".join(parts)


def _cells(row: Mapping[Any, Any], further: Sequence[str]) -> list[str]:
    star = " *" if row["as_good_as_best"] == "yes" else ""
    rank = "" if pd.isna(row["rank"]) else f"{int(row['rank'])}{star}"
    value = with_interval(row["value"], row["low"], row["high"], int(row["cases"]))
    rest = ["" if pd.isna(row[name]) else f"{row[name]:.4g}" for name in further]
    link = f"[record]({_address(row['record'])})"
    return [rank, markdown_text(row["model"]), markdown_text(row["submission"]), value, *rest, link]


def _address(path: str) -> str:
    """Return a relative path as the target of a Markdown link."""
    return re.sub(
        r"[^A-Za-z0-9._/-]", lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found[0])), path
    )


def to_csv(rows: pd.DataFrame) -> str:
    """Return the boards as CSV: six significant digits, formulas in names made harmless."""
    safe = rows.map(lambda value: csv_text(value) if isinstance(value, str) else value)
    safe["rank"] = [None if pd.isna(rank) else int(rank) for rank in safe["rank"]]
    return str(safe.astype({"rank": "Int64"}).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
