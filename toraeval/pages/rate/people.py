"""What people said, told apart by model: preferences, their agreement, and that of each metric with them.

Shape legend: R raters, U pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.pages.rate.session import BlindSession
from toraeval.pages.rate.votes import NEITHER, QUESTIONS, Vote
from toraeval.stats import Interval, bootstrap_mean, case_means
from toraeval.stats.agreement import krippendorff_alpha, rank_correlation
from toraeval.store.main_metric import main_columns
from toraeval.store.sealed import write_text
from toraeval.store.tables.run import RunResult, load_run

RATINGS, PREFERENCES, AGAINST = "ratings.csv", "preferences.csv", "metrics_and_people.csv"
PREFERENCE_COLUMNS = (
    "question", "model_a", "model_b", "suite", "frames", "height", "width", "run_a", "run_b", "people", "cases",
    "votes", "prefer_a", "same", "prefer_b", "preference", "low", "high", "alpha", "alpha_low", "alpha_high",
    "alpha_cases",
)  # fmt: skip
AGAINST_COLUMNS = ("question", "metric", "column", "direction", "spearman", "low", "high", "cases")


def ratings(votes: Sequence[Vote], session: BlindSession) -> pd.DataFrame:
    """Return one row per vote with the models' names; `preference` is 1 for a, -1 for b and 0 for neither."""
    pairs = {pair.pair: pair for pair in session.pairs}
    rows = []
    for vote in votes:
        pair = pairs[vote.pair]
        said = 0 if vote.answer == NEITHER else 1 if vote.answer == pair.first else -1
        better = {0: NEITHER, 1: session.models[0], -1: session.models[1]}[said]
        names = {"model_a": session.models[0], "model_b": session.models[1], "better": better}
        place = {"case": pair.case, "sample": pair.sample, "question": vote.question}
        rows.append({"rater": vote.rater, **place, **names, "preference": said, "seconds": vote.seconds})
    columns = ["rater", "case", "sample", "question", "model_a", "model_b", "better", "preference", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def preferences(rows: pd.DataFrame, session: BlindSession) -> pd.DataFrame:
    """Return one row per question: shares of the answers, mean preference with its interval over cases, alpha."""
    found = []
    for question in QUESTIONS:
        mine = rows[rows["question"] == question]
        if mine.empty:
            continue
        table = mine.pivot_table(index="rater", columns="sample", values="preference")
        alpha = krippendorff_alpha(table.to_numpy(), "ordinal")
        mean = bootstrap_mean(_by_case(mine))
        said = mine["preference"]
        found.append(
            {
                "question": question,
                "model_a": session.models[0],
                "model_b": session.models[1],
                **session.facts,
            }
            | {"run_a": session.runs[0], "run_b": session.runs[1]}
            | {"people": mine["rater"].nunique(), "cases": mean.cases, "votes": len(mine)}
            | {"prefer_a": (said > 0).mean(), "same": (said == 0).mean(), "prefer_b": (said < 0).mean()}
            | {"preference": mean.mean, "low": mean.low, "high": mean.high, "alpha": alpha.mean}
            | {"alpha_low": alpha.low, "alpha_high": alpha.high, "alpha_cases": alpha.cases}
        )
    return pd.DataFrame(found, columns=list(PREFERENCE_COLUMNS))


def against_metrics(rows: pd.DataFrame, runs: Sequence[RunResult]) -> pd.DataFrame:
    """Return for each question and metric how its difference between the runs follows people's, case by case.

    The difference is counted in favour of a: positive where the metric finds a better. A metric that says no better
    direction, or has no value per case, is left out.
    """
    found = []
    for question in QUESTIONS:
        people = case_means(_by_case(rows[rows["question"] == question]))
        for metric, column, direction in _columns(runs):
            a, b = (_values(run, column) for run in runs)
            sign = 1.0 if direction == "higher" else -1.0
            differences = [sign * (a.get(case, np.nan) - b.get(case, np.nan)) for case in people]
            seen = rank_correlation(list(people.values()), differences)
            if seen.cases:
                found.append(_row(question, metric, column, direction, seen))
    return pd.DataFrame(found, columns=list(AGAINST_COLUMNS))


def _row(question: str, metric: str, column: str, direction: str, seen: Interval) -> dict[str, Any]:
    names = {"question": question, "metric": metric, "column": column, "direction": direction}
    return {**names, "spearman": seen.mean, "low": seen.low, "high": seen.high, "cases": seen.cases}


def write_people(folder: Path, votes: Sequence[Vote], session: BlindSession) -> list[Path]:
    """Write the three tables of a session beside its votes and return their files.

    Raises:
        UserError: the runs are no longer there.
    """
    rows = ratings(votes, session)
    runs = [load_run(folder / run) for run in session.runs]
    tables = {
        RATINGS: rows,
        PREFERENCES: preferences(rows, session),
        AGAINST: against_metrics(rows, runs),
    }
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_text(folder / name, str(text))
    return [folder / name for name in tables]


def _by_case(rows: pd.DataFrame) -> dict[str, list[float]]:
    return {str(case): list(part) for case, part in rows.groupby("case")["preference"]}


def _values(run: RunResult, column: str) -> dict[str, float]:
    if column not in run.cases:
        return {}
    return case_means({str(case): list(part) for case, part in run.cases.groupby("case")[column]})


def _columns(runs: Sequence[RunResult]) -> list[tuple[str, str, str]]:
    """Return metric, column and direction of every value per case that both runs have."""
    found = []
    for metric, stated in runs[0].definitions.items():
        direction = str(stated.get("direction", ""))
        if direction in ("lower", "higher"):
            columns = main_columns(metric, stated)
            found += [(metric, c, direction) for c in columns if all(c in run.cases for run in runs)]
    return found
