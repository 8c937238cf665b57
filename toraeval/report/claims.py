"""What the table says in words: ratios to Tora and the paper's claim, differences that say nothing, what to mind."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from toraeval.report.collect import FLOOR_MODEL, Group, ReportedRun
from toraeval.report.measures import main_measure
from toraeval.stats import bootstrap_ratio, case_means, ratio_sensitivity, without_interval
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.store.tables.run import length_words
from toraeval.types import counted

REFERENCE = "tora"
CLAIM = (
    "The paper's claim: at 128 frames Tora's TrajError is 3 to 5 times smaller than that of U-Net methods "
    "(arXiv 2407.21705)."
)
CLAIMED_AT, CLAIMED = 128, (3.0, 5.0)
"""The length of the paper's claim, and the ratios it names."""
UNETS = ("motionctrl", "dragnuwa")
"""How the labels of the models begin that it is about."""
ANOTHER = "(no U-Net, so the claim is not about it)"
"""What is said of all other models in place of a verdict."""
RATIOS: dict[str, str] = {
    "frames": "length",
    "model": "label of the model",
    "reference": "label of the model it is compared with",
    "ratio": "mean TrajError of the model / mean TrajError of the reference over the cases that both have",
    "low": "lower bound of the 95 % bootstrap interval over cases, both models drawn together; empty below 8 cases",
    "high": "upper bound of it",
    "cases": "cases that both have",
    "detectable": "smallest distance of the ratio from 1 that a paired test of the errors at 5 % finds in these cases "
    "with 80 % power; empty below 6 cases",
    "cases_needed": "cases with which a ratio as far from 1 as this one is found with that power",
}
"""Columns of `ratios.csv` and what each means."""


def ratios(group: Group) -> pd.DataFrame:
    """Return how many times larger each trained model's TrajError is than Tora's, per length; empty without either."""
    rows = []
    for frames in group.lengths if group.main_metric == MAIN_METRIC else ():
        entries = group.at(frames)
        base = next((entry for entry in entries if entry.run.model == REFERENCE), None)
        if base is None:
            continue
        for entry in entries:
            if entry is base or not entry.is_trained:
                continue
            ours, theirs = entry.by_case(MAIN_METRIC), base.by_case(MAIN_METRIC)
            found = bootstrap_ratio(ours, theirs)
            numbers = (found.mean, found.low, found.high, found.cases, *ratio_sensitivity(ours, theirs))
            rows.append((frames, entry.label, base.label, *numbers))
    return pd.DataFrame(rows, columns=list(RATIOS))


def ratio_lines(rows: pd.DataFrame) -> list[str]:
    """Return the ratios as sentences, the paper's claim first; nothing when there is no rival."""
    said = []
    for row in rows.itertuples():
        where = f"{row.model} at {length_words(row.frames)}"
        if np.isnan(row.ratio):
            said.append(f"{where}: no ratio, no case is scored for both models.")
            continue
        few = without_interval(int(row.cases))
        between = f" ({few}, too few for an interval)" if few else ""
        if np.isfinite(row.low):
            between = f" (95 % interval {row.low:.2f} to {row.high:.2f})"
        said.append(
            f"{where}: {row.ratio:.2f} times the TrajError of {row.reference}{between}, {counted(row.cases, 'case')}."
            + _could_have_seen(row.detectable, row.cases_needed)
        )
    return [CLAIM, *said] if said else []


def _could_have_seen(detectable: float, cases_needed: float) -> str:
    """Return a sentence on the power of the comparison, empty where it is unknown."""
    if np.isnan(detectable) or np.isnan(cases_needed):
        return ""
    return (
        f" With 80 % power these cases show a ratio {detectable:.2f} away from 1; {cases_needed:.0f} cases would show "
        "this one."
    )


def below_floor(
    entries: list[ReportedRun], floors: dict[str, float], column: str = MAIN_METRIC
) -> dict[str, list[str]]:
    """Return the rows of one length that the tracker cannot tell apart, `static` included: label -> labels nearer.

    Args:
        entries: rows of one length.
        floors: label -> what the tracker makes of a perfect video, NaN where it was not measured.
        column: the main value.
    """
    models = {
        entry.label: case_means(entry.by_case(column)) for entry in entries if entry.run.model != FLOOR_MODEL
    }
    means = {label: np.mean(list(cases.values())) for label, cases in models.items() if cases}
    found: dict[str, list[str]] = {label: [] for label in means}
    for a, b in itertools.combinations(means, 2):
        if abs(means[a] - means[b]) < np.nanmax([floors[a], floors[b], -np.inf]):
            found[a].append(b)
            found[b].append(a)
    return found


def floor_lines(rows: pd.DataFrame, unit: str = "px") -> list[str]:
    """Return a sentence for each pair of models that the tracker cannot tell apart, from the result table."""
    said = []
    for frames, here in rows.groupby("frames"):
        named = {
            row.model: row.below_floor.split(", ") if row.below_floor else [] for row in here.itertuples()
        }
        pairs = {tuple(sorted((model, other))) for model, others in named.items() for other in others}
        said += [
            f"{length_words(frames)}: {a} and {b} differ by less than what the tracker makes of a perfect video "
            f"({here['tracker_floor'].max():.2g}{f' {unit}' if unit else ''}): this difference says nothing."
            for a, b in sorted(pairs)
        ]
    return said


def lost_lines(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each row whose tracker lost its points in most frames, from the result table."""
    return [
        f"{row.model} at {length_words(row.frames)}: the tracker lost its point in {1 - row.tracked_visible:.0%} of "
        "the scored frames, so that the error tells how far the lost point lies off; another tracker may see more."
        for row in rows.itertuples()
        if getattr(row, "tracked_visible", 1.0) < 0.5
    ]


def notes(group: Group, rows: pd.DataFrame) -> list[str]:
    """Return what a reader must know before comparing the rows, one sentence each."""
    found = []
    for frames in group.lengths:
        sets = {entry.label: set(case_means(entry.by_case(group.main_column))) for entry in group.at(frames)}
        if len({frozenset(cases) for cases in sets.values()}) > 1:
            shared = set.intersection(*sets.values())
            found.append(
                f"{length_words(frames)}: the rows cover different cases ({len(shared)} are shared by all); "
                "compare models with paired differences on the shared ones."
            )
    partial = int((rows["partial"] == "yes").sum())
    if partial:
        found.append(
            f"{partial} of {len(rows)} rows cover a part of their suite only or were stopped: for trying, not for "
            "quoting."
        )
    found += floor_lines(rows, main_measure(group).unit)
    for row in rows.itertuples():
        where = f"{row.model} at {length_words(row.frames)}"
        if row.failures or row.unscored:
            found.append(f"{where}: {row.failures} failed and {row.unscored} unscored samples are left out.")
        if row.cases and ":" in str(row.interval):
            found.append(f"{where}: {str(row.interval).replace('none:', 'no interval:')}.")
    return found + lost_lines(rows)
