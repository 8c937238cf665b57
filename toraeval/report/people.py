"""What people said in blind comparisons, as sentences for reports; `import-ratings` writes the tables read here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from toraeval.report.collect import Group
from toraeval.store.tables.run import length_words

PREFERENCES, AGAINST = "preferences.csv", "metrics_and_people.csv"
RUNS = ("run_a", "run_b")
ASKED = {"path": "Which follows the path better", "looks": "Which looks better"}
MOST_METRICS = 8
HOW_TO_READ = (
    "Votes of people who did not know which model made which clip. Alpha is Krippendorff's, ordinal: 1 is agreement, 0 "
    "what chance gives. Rank correlations are Spearman's over cases, between people's mean preference and the metric's "
    "difference between the two models, positive where both prefer the same; 95 % bootstrap intervals over cases."
)


def people_lines(group: Group) -> list[str]:
    """Return sentences on the comparisons of two runs of a group that are stored in its results folder."""
    runs = {Path(entry.run.run_dir).resolve() for entry in group.entries}
    results = sorted({place for run in runs for place in list(run.parents)[3:4]})  # DIR/runs/suite/model/key
    lines = []
    for folder in (found for place in results for found in sorted((place / "ratings").glob("*"))):
        rows = _read(folder / PREFERENCES)
        compared = {(folder / str(rows.iloc[0][side])).resolve() for side in RUNS} if len(rows) else {folder}
        if compared <= runs:
            lines += sentences(folder)
    return [*lines, HOW_TO_READ] if lines else []


def sentences(folder: Path) -> list[str]:
    """Return what people preferred in one comparison, and how far each metric agrees with them."""
    against = _read(folder / AGAINST)
    lines = []
    for row in _read(folder / PREFERENCES).to_dict("records"):
        line = (
            f"{ASKED.get(str(row['question']), row['question'])}, {row['model_a']} or {row['model_b']}, "
            f"{length_words(row['frames'])}: {row['prefer_a']:.0%} {row['model_a']}, {row['same']:.0%} same, "
            f"{row['prefer_b']:.0%} {row['model_b']} ({_count(row['people'], 'person', 'people')}, "
            f"{_count(row['cases'], 'case')}, {_count(row['votes'], 'vote')}); mean preference for {row['model_a']} in "
            f"-1..1: {row['preference']:.2f}{_bounds(row, 'low', 'high')}; "
        )
        alpha = f"alpha {row['alpha']:.2f}{_bounds(row, 'alpha_low', 'alpha_high')}"
        lines.append(
            line + (alpha if np.isfinite(row["alpha"]) else "agreement unknown (it needs two people)") + "."
        )
        mine = against[against["question"] == row["question"]] if len(against) else against
        known = mine[mine["spearman"].notna()] if len(mine) else mine
        ranked = known.sort_values("spearman", ascending=False).head(MOST_METRICS) if len(known) else known
        told = [
            f"{r['column']} {r['spearman']:.2f}{_bounds(r, 'low', 'high')}" for r in ranked.to_dict("records")
        ]
        if told:
            lines.append(f"Rank correlation with these people, case by case: {', '.join(told)}.")
    return lines


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.is_file() else pd.DataFrame()


def _bounds(row: dict[str, object], low: str, high: str) -> str:
    ends = [float(str(row[name])) for name in (low, high)]
    return f" [{ends[0]:.2f}, {ends[1]:.2f}]" if np.isfinite(ends).all() else ""


def _count(number: object, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
