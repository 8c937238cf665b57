"""Error over time as a figure: one panel per length, models bracketed by the tracker floor and by standing still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from toraeval.report.collect import FLOOR_MODEL, STATIC_MODEL
from toraeval.report.pictures import KEY, is_drawn, picture_key
from toraeval.report.texts import figure_text
from toraeval.stats import without_interval
from toraeval.store.sealed import add_tail, atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours stay apart for colour-blind readers and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#4B4B00")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (4, 1, 1, 1)), (0, (2, 1)))
MARKERS = "os^DvPX*"

STATIC_REFERENCE = "static_reference"
DPI = 110
LOG_FROM_RATIO = 15.0
LABEL_GAP = 0.062
"""Least distance of two labels beside the last panel, as a share of its height."""
FLOOR_LINE: dict[str, Any] = {"color": "#777777", "linestyle": (0, (1, 1)), "linewidth": 2.2}


@dataclass(frozen=True)
class Style:
    """How one curve is drawn, in every panel alike."""

    label: str
    colour: str
    dashes: Any
    marker: str
    width: float = 1.8


def styles(labels: Iterable[str]) -> dict[str, Style]:
    """Return a style per label: references grey, models apart in colour, dash and marker at once."""
    found: dict[str, Style] = {}
    position = 0
    for label in labels:
        model, shown = _model(label), figure_text(label, 40)
        if model == FLOOR_MODEL:
            found[label] = Style(f"{shown} (tracker floor)", "#777777", (0, (1, 1)), "", 2.2)
        elif model in (STATIC_MODEL, STATIC_REFERENCE):
            words = shown if model == STATIC_MODEL else "point that never moves"
            found[label] = Style(f"{words} (nothing moves)", "#111111", (0, (5, 3)), "", 1.6)
        else:
            found[label] = Style(
                shown,
                COLOURS[position % len(COLOURS)],
                DASHES[(position + position // len(COLOURS)) % len(DASHES)],
                MARKERS[position % len(MARKERS)],
            )
            position += 1
    return found


class Titled(Protocol):
    """What was measured: a `Group`, or the same words from stored tables."""

    @property
    def suite(self) -> str: ...

    @property
    def size(self) -> str: ...

    @property
    def tracker(self) -> str: ...

    @property
    def labels(self) -> list[str]: ...


def draw_error_over_time(
    curves: pd.DataFrame, group: Titled, floors: Mapping[int, float], path: Path
) -> None:
    """Draw mean e(t) with its bootstrap band over cases as a PNG that depends on the data only.

    Args:
        curves: the rows of `findings.error_over_time`.
        group: gives the order of the models and the words of the title.
        floors: length -> mean tracker floor, drawn as a level line where no `ground_truth` run is given.
        path: file to write.
    """
    curves = _without_needless_reference(curves)
    words = [group.suite, group.size, group.tracker, group.labels]
    key = picture_key(curves.to_csv(index=False), words, sorted(floors.items()), code=(__file__,))
    if not is_drawn(path, key):
        _draw(curves, group, floors, path, key)


def _draw(curves: pd.DataFrame, group: Titled, floors: Mapping[int, float], path: Path, key: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    order = [label for label in (*group.labels, STATIC_REFERENCE) if label in set(curves["model"])]
    drawn = styles(order)
    lengths = sorted(set(curves["frames"]))
    figure = Figure(figsize=(max(4.6 * len(lengths), 6.4), 4.9), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
    for axes, frames in zip(panels, lengths, strict=True):
        here = curves[curves["frames"] == frames]
        for label in order:
            _draw_curve(axes, here[here["model"] == label], drawn[label])
        _finish_panel(axes, frames, here, floors.get(frames, np.nan))
    _scale(panels[0], curves)
    _label_ends(panels[-1], curves[curves["frames"] == lengths[-1]], drawn)
    panels[0].set_ylabel("TrajError e(t) [px], mean over cases", fontsize=11)
    figure.suptitle(
        # one narrow panel would cut a single line off at both ends
        figure_text(f"Error over time: {group.suite}, {group.size}, tracker {group.tracker}", 160)
        + ("; " if len(lengths) > 1 else "\n")
        + ("band = 95 % bootstrap over cases" if curves["low"].notna().any() else "too few cases for a band"),
        fontsize=12,
    )
    shown: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(shown.values()),
        list(shown),
        loc="outside lower center",
        ncols=min(len(shown), 4 if len(lengths) > 2 else 2),  # more are wider than the panels
        fontsize=11,
        handlelength=4,
    )

    def save(temporary: Path) -> None:
        figure.savefig(temporary, format="png", metadata={"Software": None, KEY: key})
        add_tail(temporary)

    atomic(path, save)


def _without_needless_reference(curves: pd.DataFrame) -> pd.DataFrame:
    """Drop the computed standstill at lengths where a `static` run shows the same."""
    static = curves["model"].map(_model) == STATIC_MODEL
    needless = (curves["model"] == STATIC_REFERENCE) & curves["frames"].isin(curves.loc[static, "frames"])
    return curves[~needless]


def _model(label: str) -> str:
    return label.split(" [")[0]


def _finish_panel(axes: Axes, frames: int, here: pd.DataFrame, floor: float) -> None:
    if np.isfinite(floor) and FLOOR_MODEL not in set(here["model"].map(_model)):
        axes.axhline(floor, label="tracker floor (mean)", **FLOOR_LINE)
    axes.set_title(f"{frames} frames" if frames else "clips of different lengths", fontsize=12)
    axes.set_xlabel("frame (0 = given, not scored)" if frames else "share of the clip", fontsize=11)
    axes.set_xlim(0, frames - 1 if frames else 1)
    axes.tick_params(labelsize=10)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.7)


def _draw_curve(axes: Axes, rows: pd.DataFrame, style: Style) -> None:
    if rows.empty:
        return
    x = "frame" if rows["frame"].notna().all() else "time"
    frame = rows[x].to_numpy(dtype=float)
    few = without_interval(int(rows["cases"].max()))
    axes.plot(
        frame,
        rows["error"].to_numpy(),
        label=f"{style.label} ({few})" if few else style.label,
        color=style.colour,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=style.marker,
        markersize=5,
        markevery=max(1, len(frame) // 8),
    )
    axes.fill_between(
        frame, rows["low"].to_numpy(), rows["high"].to_numpy(), color=style.colour, alpha=0.15, linewidth=0
    )


def _label_ends(axes: Axes, rows: pd.DataFrame, drawn: Mapping[str, Style]) -> None:
    """Write each curve's name at its end, beside the panel, joined by a thin line where it had to move."""
    ends = {}
    for label, part in rows.dropna(subset=["error"]).groupby("model", sort=False):
        last = part.iloc[-1]
        x = last["frame"] if np.isfinite(last["frame"]) else last["time"]
        height = axes.transAxes.inverted().transform(axes.transData.transform((x, last["error"])))[1]
        ends[str(label)] = (float(x), float(last["error"]), float(height))
    names = sorted(ends, key=lambda label: ends[label][2])
    places = spread_out([ends[label][2] for label in names])
    for label, place in zip(names, places, strict=True):
        x, y, _ = ends[label]
        axes.annotate(
            "point that never moves" if label == STATIC_REFERENCE else figure_text(label, 40),
            xy=(x, y),
            xytext=(1.05, place),
            textcoords="axes fraction",
            annotation_clip=False,
            color=drawn[label].colour,
            fontsize=10.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": drawn[label].colour, "linewidth": 0.8, "shrinkB": 0},
        )


def spread_out(heights: list[float]) -> list[float]:
    """Return rising heights moved apart to `LABEL_GAP`, as little as one pass up and one down allow."""
    placed = list(heights)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + LABEL_GAP)
    limit = 1.0
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - LABEL_GAP
    return placed


def _scale(axes: Axes, curves: pd.DataFrame) -> None:
    """Use a logarithmic axis, linear below 1 px, where one linear axis would hide the smaller curves."""
    from matplotlib.ticker import FuncFormatter

    typical = curves.groupby("model")["error"].mean()
    largest = float(curves[["error", "high"]].max().max())
    if len(typical) > 1 and typical.max() > LOG_FROM_RATIO * max(float(typical.min()), 1e-9):
        axes.set_yscale("symlog", linthresh=1.0, linscale=0.5)
        ticks = [0.0, 0.5, *(f * 10.0**k for k in range(4) for f in (1, 2, 5))]
        axes.set_yticks([tick for tick in ticks if tick <= largest * 1.3])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
    if np.isfinite(largest):
        axes.set_ylim(0, max(largest * 1.15, 1e-3))
