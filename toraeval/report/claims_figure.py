"""One figure of the claims: ratios to Tora by kind of case, errors where windows meet, survival over windows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toraeval.report.claims import CLAIMED
from toraeval.report.figures import DPI, Style, styles
from toraeval.report.pictures import KEY, is_drawn, picture_key
from toraeval.report.reasons import AFTER, BEFORE, HIDDEN, IN_VIEW, LIKENESS, RATIO, WINDOW, WINDOW_ERROR
from toraeval.store.sealed import add_tail, atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Styles = dict[str, Style]
MEASURED = {WINDOW_ERROR: "TrajError [px]", LIKENESS: "likeness to the first frame"}


def draw_claims(rows: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the rows of `reasons.reasons` as a PNG that depends on them only.

    Args:
        rows: at least one rival at one length.
        title: what the rows belong to.
        path: file to write.
    """
    key = picture_key(rows.to_csv(index=False), title, code=(__file__,))
    if not is_drawn(path, key):
        _draw(rows, title, path, key)


def _draw(rows: pd.DataFrame, title: str, path: Path, key: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lengths = sorted(set(rows["frames"]))
    windowed = rows.loc[rows["measure"] == WINDOW_ERROR, "frames"]
    drawn = styles(dict.fromkeys(rows["model"]))
    kinds = list(dict.fromkeys(rows.loc[rows["measure"] == RATIO, "kind"]))
    heights = [1.2 + 0.42 * len(kinds), *([3.9] if len(windowed) else [])]
    width = max(4.4 * max(len(lengths), 3 if len(windowed) else 1), 7.0)
    figure = Figure(figsize=(width, sum(heights) + 1.0), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    upper = parts[0].subplots(1, len(lengths), sharey=True, sharex=True, squeeze=False)[0]
    for axes, frames in zip(upper, lengths, strict=True):
        _ratios(axes, rows[(rows["frames"] == frames) & (rows["measure"] == RATIO)], kinds, drawn)
        axes.set_title(f"{frames} frames", fontsize=12)
    if len(windowed):
        longest = rows[rows["frames"] == windowed.max()]
        kept = {*longest["kind"], *longest["measure"]}
        panels = [name for name in (WINDOW_ERROR, IN_VIEW, HIDDEN, LIKENESS) if name in kept]
        for axes, name in zip(parts[1].subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            if name in (IN_VIEW, HIDDEN):
                _seams(axes, longest, name, drawn)
            else:
                _over_windows(axes, longest, name, drawn)
                axes.set_ylabel(MEASURED[name], fontsize=11)
        parts[1].suptitle(f"{windowed.max()} frames, window by window", fontsize=12)
    _legend(figure, upper, drawn)
    figure.suptitle(title, fontsize=13)

    def save(temporary: Path) -> None:
        figure.savefig(temporary, format="png", metadata={"Software": None, KEY: key})
        add_tail(temporary)

    atomic(path, save)


def _legend(figure: Any, upper: Any, drawn: Styles) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=s.colour, marker=s.marker, linestyle=s.dashes, label=s.label)
        for s in drawn.values()
    ]
    handles += upper[0].get_legend_handles_labels()[0]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 4), fontsize=11, handlelength=4
    )


def _ratios(axes: Axes, rows: pd.DataFrame, kinds: list[str], drawn: Styles) -> None:
    """Draw the ratio of each rival in each kind of case, with its interval where there is one."""
    rivals = list(dict.fromkeys(rows["model"]))
    axes.axvspan(*CLAIMED, color="#f0e4a0", alpha=0.6, label="claimed: 3 to 5")
    axes.axvline(1.0, color="#111111", linewidth=1.2, label="as Tora")
    for n, rival in enumerate(rivals):
        mine, style = rows[rows["model"] == rival].set_index("kind"), drawn[rival]
        offset = (n - (len(rivals) - 1) / 2) * 0.8 / max(len(rivals), 1)
        for place, kind in enumerate(kinds):
            if kind not in mine.index or np.isnan(mine.at[kind, "value"]):
                continue
            value, low, high = (float(mine.at[kind, name]) for name in ("value", "low", "high"))
            axes.plot([low, high], [place + offset] * 2, color=style.colour, linewidth=1.6)
            axes.plot([value], [place + offset], color=style.colour, marker=style.marker, markersize=5)
    axes.set_xscale("log")
    ticks = {1.0: "1", 2.0: "2", 3.0: "3", 5.0: "5", 10.0: "10"}
    lowest = axes.get_xlim()[0]
    # a row that copies pixels may have a thousandth of Tora's error
    near = (0.25, 0.5) if lowest > 0.05 else [share for share in (1e-4, 1e-3, 1e-2, 0.1) if share > lowest]
    ticks |= {share: f"1/{round(1 / share)}" for share in near}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_yticks(range(len(kinds)), kinds, fontsize=10)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlabel("times Tora's TrajError", fontsize=11)
    axes.grid(True, axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


def _over_windows(axes: Axes, rows: pd.DataFrame, measure: str, drawn: Styles) -> None:
    for label, style in drawn.items():
        mine = rows[(rows["model"] == label) & (rows["measure"] == measure)].sort_values("window")
        if len(mine):
            axes.plot(
                mine["window"] + 1, mine["value"], color=style.colour, linestyle=style.dashes, marker=style.marker
            )  # fmt: skip
    axes.set_xlabel(f"window of {WINDOW} new frames", fontsize=11)
    axes.grid(True, color="#dddddd", linewidth=0.7)


def _seams(axes: Axes, rows: pd.DataFrame, kind: str, drawn: Styles) -> None:
    """Draw the error before and after a seam, joined by a line for each model."""
    for label, style in drawn.items():
        mine = rows[(rows["model"] == label) & (rows["kind"] == kind) & rows["window"].isna()]
        values = mine.set_index("measure")["value"].reindex([BEFORE, AFTER])
        if values.notna().all():
            axes.plot([0, 1], values, color=style.colour, linestyle=style.dashes, marker=style.marker)
    axes.set_xticks([0, 1], ["before", "after"])
    axes.set_xlim(-0.3, 1.3)
    axes.set_ylim(bottom=0)
    axes.set_title(kind.replace(" where ", "\nwhere "), fontsize=10)
    axes.set_ylabel("error [px]", fontsize=11)
    axes.grid(True, axis="y", color="#dddddd", linewidth=0.7)
