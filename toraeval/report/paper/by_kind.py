"""Error by the family of the path, and by how fast it asks the object to move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toraeval.report.figures import DPI, STATIC_REFERENCE, Style, styles
from toraeval.report.paper.stored import in_order
from toraeval.report.texts import figure_text
from toraeval.stats import bootstrap_mean, without_interval
from toraeval.store.sealed import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = ("slow", "medium", "fast")
"""Thirds of the cases of a length, by the speed of the asked path."""
BY_KIND: dict[str, str] = {
    "kind": "family or speed",
    "frames": "length; 0 where every case has its own",
    "of": "the family, or slow, medium, fast: thirds of the cases of the length",
    "speed_from": "slowest asked path in it, pixels a frame",
    "speed_to": "fastest",
    "model": "registry name",
    "value": "mean of the main value over these cases",
    "low": "lower bound of the 95 % bootstrap interval over cases; empty below 8",
    "high": "upper bound of it",
    "cases": "cases with a value",
}
"""Columns of `error_by_family.csv` and `error_by_speed.csv`, and what each means."""


def by_family(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `by_case.csv` summed up by path family, with the columns of `BY_KIND`."""
    known = cases[cases["family"] != ""]
    return _summed(known.assign(of=known["family"]), "family")


def by_speed(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `by_case.csv` summed up by thirds of the speed, with the columns of `BY_KIND`."""
    parts = []
    for _, part in cases.dropna(subset=["speed"]).groupby("frames"):
        speeds = part.groupby("case")["speed"].first().sort_values(kind="stable")
        third = {case: BANDS[i * len(BANDS) // len(speeds)] for i, case in enumerate(speeds.index)}
        parts.append(part.assign(of=part["case"].map(third)))
    return _summed(pd.concat(parts) if parts else cases.assign(of="")[:0], "speed")


def _summed(cases: pd.DataFrame, kind: str) -> pd.DataFrame:
    rank = {name: i for i, name in enumerate(BANDS)} if kind == "speed" else {}
    rows = []
    for (frames, of, model), part in cases.groupby(["frames", "of", "model"]):
        found = bootstrap_mean({str(row.case): float(row.value) for row in part.itertuples()})
        speeds = part["speed"]
        rows.append(
            (
                kind,
                frames,
                of,
                speeds.min(),
                speeds.max(),
                model,
                found.mean,
                found.low,
                found.high,
                found.cases,
            )
        )
    order = {label: i for i, label in enumerate(in_order(cases["model"]))}
    rows.sort(key=lambda row: (row[1], rank.get(row[2], 0), row[2], order[row[5]]))
    return pd.DataFrame(rows, columns=list(BY_KIND))


def draw_families(rows: pd.DataFrame, title: str, label: str, path: Path) -> None:
    """Draw one panel per length: a mark per model and family, with the interval where there are enough cases."""
    _draw(rows, title, label, path, _family_panel, wide=5.6)


def draw_speeds(rows: pd.DataFrame, title: str, label: str, path: Path) -> None:
    """Draw one panel per length: a line per model over slow, medium and fast paths, with intervals."""
    _draw(rows, title, label, path, _speed_panel, wide=4.2)


def _draw(
    rows: pd.DataFrame,
    title: str,
    label: str,
    path: Path,
    panel: Callable[[Axes, pd.DataFrame, dict[str, Style]], None],
    wide: float,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lengths = sorted(set(rows["frames"]))
    drawn = {
        name: style for name, style in styles(in_order(rows["model"])).items() if name != STATIC_REFERENCE
    }
    figure = Figure(figsize=(max(wide * len(lengths), 6.4), 5.0), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
    for axes, frames in zip(panels, lengths, strict=True):
        panel(axes, rows[rows["frames"] == frames], drawn)
        axes.set_title(f"{frames} frames" if frames else "clips of different lengths", fontsize=12)
        axes.grid(True, axis="y", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
    positive = rows.loc[rows["value"] > 0, "value"]
    if len(positive) and positive.max() > 15 * positive.min():
        panels[0].set_yscale("log")
    panels[0].set_ylabel(label, fontsize=11)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), fontsize=10)
    figure.suptitle(figure_text(title, 160), fontsize=12)
    atomic(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))


def _family_panel(axes: Axes, rows: pd.DataFrame, drawn: dict[str, Style]) -> None:
    families = list(dict.fromkeys(rows["of"]))
    counts = rows.groupby("of")["cases"].max()
    for place, (name, style) in enumerate(drawn.items()):
        mine = rows[rows["model"] == name].set_index("of").reindex(families)
        shift = 0.7 * ((place + 0.5) / len(drawn) - 0.5)
        _marks(axes, np.arange(len(families)) + shift, mine, style, line=False)
    words = [f"{figure_text(name, 24)} ({counts[name]})" for name in families]
    axes.set_xticks(range(len(families)), words, rotation=45, ha="right", fontsize=9)
    axes.set_xlim(-0.6, len(families) - 0.4)
    axes.set_xlabel("family of the asked path (cases)", fontsize=11)


def _speed_panel(axes: Axes, rows: pd.DataFrame, drawn: dict[str, Style]) -> None:
    bands = [band for band in BANDS if band in set(rows["of"])]
    for place, (name, style) in enumerate(drawn.items()):
        mine = rows[rows["model"] == name].set_index("of").reindex(bands)
        shift = 0.16 * ((place + 0.5) / len(drawn) - 0.5)
        _marks(axes, np.arange(len(bands)) + shift, mine, style, line=True)
    whole = rows.groupby("of")[["speed_from", "speed_to"]].agg({"speed_from": "min", "speed_to": "max"})
    few = rows.groupby("of")["cases"].max()
    words = [
        f"{band}\n{whole.loc[band, 'speed_from']:.2g} to {whole.loc[band, 'speed_to']:.2g}\n"
        f"{without_interval(int(few[band])) or f'n = {few[band]}'}"
        for band in bands
    ]
    axes.set_xticks(range(len(bands)), words, fontsize=10)
    axes.set_xlabel("asked speed, pixels a frame", fontsize=11)


def _marks(axes: Axes, x: Any, rows: pd.DataFrame, style: Style, line: bool) -> None:
    value = rows["value"].to_numpy(float)
    spread = [value - rows["low"].to_numpy(float), rows["high"].to_numpy(float) - value]
    known = np.isfinite(spread[0])
    axes.plot(
        x, value, label=style.label, color=style.colour, marker=style.marker or "_", markersize=6,
        linestyle=style.dashes if line else "none", linewidth=1.4,
    )  # fmt: skip
    axes.errorbar(
        np.asarray(x)[known], value[known], yerr=[side[known] for side in spread], fmt="none", ecolor=style.colour,
        elinewidth=1.0, capsize=2,
    )  # fmt: skip
