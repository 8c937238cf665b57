"""Does the order of the models depend on the tracker? The same videos under every tracker that followed them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from toraeval.report.collect import FLOOR_MODEL, STATIC_MODEL
from toraeval.stats import case_means
from toraeval.store.keys import canonical
from toraeval.store.sealed import require_json
from toraeval.store.tables.run import RECORD, RunResult, length_words, load_run
from toraeval.types import UserError, counted

REFERENCES = (FLOOR_MODEL, STATIC_MODEL)
LEAST_MODELS = 2


@dataclass(frozen=True)
class TrackerComparison:
    """Models on one suite at one length and size under several trackers.

    Attributes:
        suite, frames, column: what is compared.
        lower_is_better: which end of the column is good.
        means: one row per model, one column per tracker: mean over `cases`.
        cases: those that every model has under every tracker.
        tau: Kendall's tau-b of the models' order, by pair of trackers; reference rows do not count.
        left_out: why runs take no part, a sentence each.
    """

    suite: str
    frames: int
    column: str
    lower_is_better: bool
    means: pd.DataFrame
    cases: tuple[str, ...]
    tau: dict[tuple[str, str], float]
    left_out: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the comparison as Markdown."""
        ranks = self.means.drop(index=[name for name in REFERENCES if name in self.means.index])
        ranks = ranks.rank(ascending=self.lower_is_better, method="min")
        lines = [
            f"{self.suite}, {length_words(self.frames)}: {self.column} of {counted(len(self.cases), 'shared case')} "
            "(rank)",
            "",
        ]
        trackers = list(self.means.columns)
        lines += [f"| model | {' | '.join(trackers)} |", f"|---|{'---|' * len(trackers)}"]
        for model, row in self.means.iterrows():
            cells = [
                f"{row[tracker]:.3g}"
                + (f" ({int(ranks.loc[model, tracker])})" if model in ranks.index else "")
                for tracker in trackers
            ]
            lines.append(f"| {model} | {' | '.join(cells)} |")
        lines.append("")
        for (first, second), tau in self.tau.items():
            told = f"{tau:.2f}" if np.isfinite(tau) else "not defined: all models are equal under one of them"
            lines.append(
                f"Kendall's tau of the order under {first} and {second}: {told} ({counted(len(ranks), 'model')})"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.left_out)])


def compare_trackers_of(runs: Sequence[Path]) -> list[TrackerComparison]:
    """Return the comparisons of the suites, lengths and sizes of some runs, among all that is stored beside them.

    Args:
        runs: folders `results/runs/SUITE/MODEL/RUN`.

    Raises:
        UserError: one is not such a folder, or there is no comparison.
    """
    wanted: dict[Path, set[str]] = {}
    for folder in runs:
        place = folder.resolve()
        if not (place / RECORD).is_file() or place.parents[2].name != "runs":
            raise UserError(
                f"compare-trackers: {folder} is not a run; allowed: folders like results/runs/SUITE/MODEL/RUN, or "
                f"results=DIR for everything below a folder"
            )
        wanted.setdefault(place.parents[3], set()).add(_world(load_run(place)))
    return [found for results, worlds in wanted.items() for found in compare_trackers(results, worlds)]


def compare_trackers(results: Path, worlds: Collection[str] | None = None) -> list[TrackerComparison]:
    """Return one comparison for each suite, length and size that at least two trackers followed for two models.

    Args:
        results: folder with `runs/`.
        worlds: suites, lengths and sizes, as `_world` has them; None for all.

    Raises:
        UserError: there is none.
    """
    folders = sorted(path.parent for path in (results / "runs").glob(f"*/*/*/{RECORD}"))
    groups: dict[str, list[RunResult]] = {}
    for run in map(load_run, folders):
        if worlds is None or _world(run) in worlds:
            groups.setdefault(_world(run), []).append(run)
    found = [made for runs in groups.values() if (made := _compared(runs))]
    if not found:
        trackers = sorted({run.tracker for runs in groups.values() for run in runs})
        raise UserError(
            f"compare-trackers: {results} holds runs of {', '.join(trackers) or 'no tracker'}; expected: the same "
            f"suite, length and size of two models beside {' and '.join(REFERENCES)}, which are not ranked, under two "
            "trackers, e.g. the bench run again with tracker=dis_flow"
        )
    return sorted(found, key=lambda one: (one.suite, one.frames))


def _world(run: RunResult) -> str:
    """Return what runs must share to be compared: suite, length and size."""
    suite = canonical(run.record.get("fingerprints", {}).get("suite"))
    return canonical([suite, run.frames, run.height, run.width])


def under_tables(results: Path) -> str:
    """Return what stands under a table once more than one tracker followed the models, else an empty text."""
    records = (require_json(path) for path in (results / "runs").glob(f"*/*/*/{RECORD}"))
    if len({(record or {}).get("run", {}).get("tracker") for record in records}) < 2:
        return ""  # one tracker, told without reading any run
    try:
        return "\n\n".join(found.text() for found in compare_trackers(results))
    except UserError:
        return ""


def _compared(runs: list[RunResult]) -> TrackerComparison | None:
    column = runs[0].main_column
    notes: list[str] = []
    values: dict[str, dict[str, dict[str, float]]] = {}
    videos: dict[tuple[str, str], str] = {}
    for run in runs:
        if column not in run.cases or run.tracker in values.get(run.model, {}):
            notes.append(
                f"{run.run_dir.name}: no {column}, or a second run of {run.model} under {run.tracker}"
            )
            continue
        means = case_means(_by_case(run, column))
        other = _other_videos(run, videos)
        if other:
            notes.append(
                f"{run.model} under {run.tracker}: {counted(other, 'other video')} than under another tracker"
            )
            continue
        values.setdefault(run.model, {})[run.tracker] = means
    trackers = sorted({tracker for model in values.values() for tracker in model})
    # a tracker takes part if at least two models were followed by it and another one
    both = {model: by for model, by in values.items() if len(by) > 1}
    trackers = [t for t in trackers if sum(t in by for by in both.values()) >= LEAST_MODELS]
    models = [model for model, by in both.items() if all(tracker in by for tracker in trackers)]
    ranked = [model for model in models if model not in REFERENCES]
    if len(trackers) < 2 or len(ranked) < LEAST_MODELS:
        return None
    notes += [f"{model} was not followed by all of these trackers" for model in values if model not in models]
    shared = set.intersection(*(set(values[model][tracker]) for model in models for tracker in trackers))
    if not shared:
        return None
    cases = tuple(sorted(shared))
    table = pd.DataFrame(
        {t: {m: float(np.mean([values[m][t][case] for case in cases])) for m in models} for t in trackers}
    )
    from scipy.stats import kendalltau  # half a second, which a report of one tracker need not wait

    tau = {
        (first, second): float(kendalltau(table.loc[ranked, first], table.loc[ranked, second]).statistic)
        for first, second in combinations(trackers, 2)
    }
    directions = {run.definitions.get(run.main_metric, {}).get("direction", "lower") for run in runs}
    lower = directions != {"higher"}
    return TrackerComparison(runs[0].suite, runs[0].frames, column, lower, table, cases, tau, tuple(notes))


def _by_case(run: RunResult, column: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    numbers: Iterable[float] = pd.to_numeric(run.cases[column], errors="coerce")
    for case, value in zip(run.cases["case"], numbers, strict=True):
        found.setdefault(str(case), []).append(float(value))
    return found


def _other_videos(run: RunResult, videos: dict[tuple[str, str], str]) -> int:
    """Return how many samples have another video than the same model had under a tracker before."""
    known = run.cases[["sample", "video_sha256"]].dropna().itertuples(index=False)
    return sum(videos.setdefault((run.model, str(sample)), str(sha)) != sha for sample, sha in known)
