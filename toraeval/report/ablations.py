"""The ablation table and figure: what each fusion design, position, compression and training stage gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from toraeval.report.figures import COLOURS, DPI
from toraeval.report.tables import to_csv
from toraeval.stats import without_interval
from toraeval.store.sealed import atomic, write_text
from toraeval.types import counted

ABLATIONS: dict[str, str] = {
    "ablation": "what is varied",
    "variant": "its value; (default) marks the one that all groups share",
    "traj_error": "mean over the cases, seeds averaged, pixels of the scored size, lower is better",
    "traj_error_low": "lower bound of the 95 % bootstrap interval over cases",
    "traj_error_high": "upper bound of it",
    "ratio_to_static": "traj_error divided by that of a video in which nothing moves",
    "difference": "traj_error minus that of the default on the same cases",
    "difference_low": "lower bound of its 95 % interval",
    "difference_high": "upper bound of it",
    "detectable": "smallest true difference that a paired test at 5 % finds in these cases with 80 % power",
    "cases_needed": "cases with which a true difference as large as this one is found with that power",
    "seeds": "trainings with different seeds",
    "best_seed": "least mean traj_error of a seed",
    "worst_seed": "largest mean traj_error of a seed",
    "seeds_worse": "seeds with which it is worse than the default with the same seed",
    "cases": "cases with a score",
    "failures": "samples that failed; never scored as 0",
    "loss": "training loss, mean of the last 100 steps, over the seeds",
    "parameters": "of the whole network",
    "motion_parameters": "of trajectory extractor and fusers",
    "steps": "training steps",
    "clips": "clips seen in training",
    "minutes": "wall-clock minutes of training on the machine of the run, all seeds together",
    "tracker": "what measured the path in the video",
    "suite": "suite and version",
    "frames": "frames of each video",
    "weights": "first digits of the SHA-256 of the weights, one per seed",
    "run": "folder of the run, one per seed",
}
"""Columns of `ablations.csv` in order, and what each means."""

SHOWN = (
    "variant", "traj_error", "traj_error_low", "traj_error_high", "ratio_to_static", "difference",
    "difference_low", "difference_high", "detectable", "cases_needed", "loss", "motion_parameters", "minutes",
)  # fmt: skip


def write(rows: pd.DataFrame, remarks: Sequence[str], folder: Path) -> list[Path]:
    """Write `ablations.csv`, `.md` and `.png`.

    Args:
        rows: columns of `ABLATIONS`; rows of a group stand together.
        remarks: sentences for the reader: budget, start, suite.
        folder: where the files go.

    Returns:
        The written files.
    """
    paths = [folder / f"ablations.{ending}" for ending in ("csv", "md", "png")]
    rows = rows.reindex(columns=list(ABLATIONS))
    write_text(paths[0], to_csv(rows))
    write_text(paths[1], markdown(rows, remarks))
    draw(rows, paths[2])
    return paths


def markdown(rows: pd.DataFrame, remarks: Sequence[str]) -> str:
    """Return one small table per group, the remarks, and what the columns mean."""
    parts = ["# Ablations of Tora nano", *remarks]
    for name, group in rows.groupby("ablation", sort=False):
        cells = [
            [
                _bound(name, row) if name.endswith(("_low", "_high")) else _cell(row[name], name)
                for name in SHOWN
            ]
            for row in group.to_dict("records")
        ]
        parts += [f"## {str(name).capitalize()}"]
        parts += [tabulate(cells, headers=list(SHOWN), tablefmt="github", disable_numparse=True)]
    parts += ["## Columns", "\n".join(f"- `{name}`: {meaning}" for name, meaning in ABLATIONS.items())]
    return "\n\n".join(parts) + "\n"


def _bound(name: str, row: dict[str, Any]) -> str:
    """Return a bound, or `n = 3` where there are too few cases for one; nothing for the default against itself."""
    few = without_interval(int(row["cases"]))
    return few if few and not pd.isna(row[name.rpartition("_")[0]]) else _cell(row[name])


def _cell(value: object, name: str = "") -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if name == "cases_needed":
        return f"{value:.0f}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Draw one panel per group: TrajError of each variant with its interval, and the level of standing still."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = [group for _, group in rows.groupby("ablation", sort=False)]
    figure = Figure(figsize=(3.6 * len(groups), 3.9), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    widest = max(len(group) for group in groups)
    for axes, group in zip(panels, groups, strict=True):
        low, high = (group[f"traj_error_{side}"].to_numpy(float) for side in ("low", "high"))
        mean = group["traj_error"].to_numpy(float)
        places = range(len(group))
        axes.bar(places, mean, color=COLOURS[: len(group)], width=0.62)
        for place, best, worst in zip(places, group["best_seed"], group["worst_seed"], strict=True):
            axes.plot([place - 0.2, place - 0.2], [best, worst], color="#ffffff", linewidth=3.5, alpha=0.8)
        axes.errorbar(places, mean, yerr=[mean - low, high - mean], fmt="none", ecolor="#222222", capsize=4)
        counts = [without_interval(int(cases)) for cases in group["cases"]]
        tops = [value if pd.isna(top) else top for value, top in zip(mean, high, strict=True)]
        for place, value, top, few in zip(places, mean, tops, counts, strict=True):
            axes.annotate(
                f"{value:.1f}\n{few}" if few else f"{value:.1f}",
                (place, top),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=10,
            )
        still = float((group["traj_error"] / group["ratio_to_static"]).mean())
        axes.axhline(still, color="#111111", linestyle=(0, (5, 3)), linewidth=1.4, label="nothing moves")
        axes.set_xticks(
            list(places), [v.replace(" (default)", "\n(default)") for v in group["variant"]], fontsize=9
        )
        axes.set_xlim(*((len(group) - 1) / 2 + side * widest / 2 for side in (-1, 1)))
        axes.set_title(str(group["ablation"].iloc[0]), fontsize=12)
        axes.grid(True, axis="y", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("TrajError [px], 95 % interval over cases", fontsize=11)
    panels[0].set_ylim(0, 1.1 * float(rows[["traj_error", "traj_error_high"]].max().max()))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", fontsize=9)
    steps, frames, cases = (rows[name].iloc[0] for name in ("steps", "frames", "cases"))
    seeds = rows["seeds"].max()
    figure.suptitle(
        f"Ablations of Tora nano: {counted(steps, 'training step')} each, {counted(seeds, 'seed')} (white: best to "
        "worst), "
        f"{counted(cases, 'case')} of {frames} frames"
    )
    atomic(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))
