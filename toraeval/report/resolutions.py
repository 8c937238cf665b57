"""One model at several sizes and lengths: error over time as a share of the diagonal, so that sizes compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from toraeval.report.collect import FLOOR_MODEL, STATIC_MODEL, Group
from toraeval.report.figures import COLOURS, DASHES, DPI, STATIC_REFERENCE
from toraeval.report.findings import error_over_time
from toraeval.report.texts import figure_text
from toraeval.stats import without_interval
from toraeval.store.sealed import atomic

RESOLUTIONS: dict[str, str] = {
    "model": "registry name",
    "width": "pixels",
    "height": "pixels",
    "frames": "length of the clip",
    "frame": "frame index; frame 0 is given and not scored",
    "time": "frame / (frames - 1)",
    "cases": "cases with a scored point in this frame",
    "error": "mean over cases of the mean over objects of |dx|+|dy|, pixels of the size",
    "error_diagonal": "the same in percent of the diagonal of the size",
    "low_diagonal": "lower bound of a pointwise bootstrap over cases, percent of the diagonal",
    "high_diagonal": "upper bound of it",
    "floor_diagonal": "what the tracker makes of a perfect video at this size and length, percent of the diagonal",
    "suite": "suite and version",
    "tracker": "what measured the path in the video",
}
"""Columns of `resolutions.csv` and what each means."""


def of_sizes(groups: Sequence[Group]) -> bool:
    """Return True if groups differ in the size of their clips alone."""
    kinds = {(group.suite, group.tracker) for group in groups}
    return len(groups) > 1 and len(kinds) == 1 and all(group.width and group.height for group in groups)


def resolutions(groups: Sequence[Group]) -> pd.DataFrame:
    """Return error over time of every model at every size and length, with the columns of `RESOLUTIONS`."""
    parts = []
    for group in sorted(groups, key=lambda group: (group.width * group.height, group.width)):
        curves = error_over_time(group)
        if curves.empty:
            continue
        percent = 100.0 / math.hypot(group.width, group.height)
        floors = curves[curves["model"] == FLOOR_MODEL].groupby("frames")["error"].mean() * percent
        parts.append(
            curves[~curves["model"].isin([FLOOR_MODEL, STATIC_MODEL])].assign(
                width=group.width,
                height=group.height,
                error_diagonal=lambda rows, percent=percent: rows["error"] * percent,
                low_diagonal=lambda rows, percent=percent: rows["low"] * percent,
                high_diagonal=lambda rows, percent=percent: rows["high"] * percent,
                floor_diagonal=lambda rows, floors=floors: rows["frames"].map(floors),
                suite=group.suite,
                tracker=group.tracker,
            )
        )
    if all(
        (part["model"] == STATIC_REFERENCE).all() for part in parts
    ):  # references alone: nothing to compare
        return pd.DataFrame(columns=list(RESOLUTIONS))
    return pd.concat(parts, ignore_index=True)[list(RESOLUTIONS)]


def draw_resolutions(rows: pd.DataFrame, path: Path) -> None:
    """Draw one panel per length for the first model that is not standing still: a curve per size, with its band."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    model = next(name for name in rows["model"] if name != STATIC_REFERENCE)
    mine, still = rows[rows["model"] == model], rows[rows["model"] == STATIC_REFERENCE]
    lengths = sorted(set(mine["frames"]))
    sizes = list(dict.fromkeys(zip(mine["width"], mine["height"], strict=True)))
    figure = Figure(figsize=(max(4.4 * len(lengths), 6.4), 4.6), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
    for axes, frames in zip(panels, lengths, strict=True):
        for place, (width, height) in enumerate(sizes):
            here = (mine["frames"] == frames) & (mine["width"] == width) & (mine["height"] == height)
            part = mine[here]
            few = without_interval(int(part["cases"].max())) if len(part) else ""
            style = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}
            name = f"{width}x{height}{f' ({few})' if few else ''}"
            axes.plot(part["frame"], part["error_diagonal"], label=name, linewidth=1.8, **style)
            axes.fill_between(
                part["frame"], part["low_diagonal"], part["high_diagonal"], color=style["color"], alpha=0.15,
                linewidth=0,
            )  # fmt: skip
        moved = still[still["frames"] == frames].groupby("frame")["error_diagonal"].mean()
        axes.plot(
            moved.index, moved, color="#111111", linestyle=(0, (5, 3)), linewidth=1.4, label="nothing moves"
        )
        axes.set_title(f"{frames} frames", fontsize=12)
        axes.set_xlabel("frame (0 = given, not scored)", fontsize=11)
        axes.set_xlim(0, frames - 1)
        axes.grid(True, color="#dddddd", linewidth=0.7)
    panels[0].set_ylabel("TrajError e(t), % of the diagonal", fontsize=11)
    panels[0].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=10)
    first = mine.iloc[0]
    figure.suptitle(
        figure_text(
            f"{model} at several sizes and lengths: {first['suite']}, tracker {first['tracker']}", 160
        ),
        fontsize=12,
    )
    atomic(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))
