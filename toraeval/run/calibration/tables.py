"""Calibration results as a table (CSV, Markdown) and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.run.calibration.conditions import DAMAGED_FRAMES, DAMAGES, FAST, SLOW
from toraeval.store.sealed import atomic

GROUPS = ("frames", "family", "speed", "occlusion", "objects")
ORDER = ("none", "partly", "crossing", "slow", "medium", "fast", *DAMAGES)
VALUES = ("floor", "delta_avg", "aj", "oa", "lost", "seconds_per_frame")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^Dv*"
DEFINITIONS = f"""\
A row is the mean over the tracked objects of a group; `clips` and `objects` say over how many.

| column | meaning |
|---|---|
| `floor` | TrajError v1 on a perfect video, px at 512 x 512: what the tracker adds to every score |
| `delta_avg`, `aj`, `oa` | TAP-Vid position accuracy, Average Jaccard, occlusion accuracy, [0, 1], mode `first`, \
tapnet's scaling to 256 x 256, per object |
| `lost` | share of objects that end, in their last visible frame, 16 px or more off on the 256 x 256 raster |
| `seconds_per_frame` | tracking time divided by frames, on the machine that measured; all points of a clip together |

Groups: `speed` is slow below {SLOW:g} and fast above {FAST:g} px a frame; `occlusion` is `crossing` where the point \
itself is hidden for some time, `partly` where only a part of its object is. All groups but `damage` are of clean \
clips; damaged clips have {DAMAGED_FRAMES} frames. `damage: occluded` are the damaged clips whose point is hidden for \
some time.
"""


def summarise(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return one row per tracker, group and value of the group.

    Args:
        rows: see `measure.calibrate`.
    """
    data = pd.DataFrame(rows).rename(columns={"traj_error": "floor"})
    out = []
    for tracker, own in data.groupby("tracker", sort=False):
        clean, damaged = own[own["damage"] == "none"], own[own["damage"] != "none"]
        out.append(_row(tracker, "all", "clean", clean))
        for group in GROUPS:
            out += [_row(tracker, group, str(value), part) for value, part in _parts(clean, group)]
        out += [_row(tracker, "damage", str(value), part) for value, part in _parts(damaged, "damage")]
        hidden = damaged[damaged["occlusion"] == "crossing"]
        out.append(_row(tracker, "damage", "occluded", hidden))
    return pd.DataFrame([row for row in out if row["objects"]])


def _parts(data: pd.DataFrame, group: str) -> list[tuple[Any, pd.DataFrame]]:
    parts = list(data.groupby(group, sort=True))
    rank = {name: position for position, name in enumerate(ORDER)}
    return sorted(parts, key=lambda part: rank.get(part[0], -1))


def _row(tracker: str, group: str, value: str, part: pd.DataFrame) -> dict[str, Any]:
    means = {name: float(part[name].astype(float).mean()) for name in VALUES}
    counts = {"clips": part["clip"].nunique(), "objects": len(part), "points": int(part["points"].sum())}
    return {"tracker": tracker, "group": group, "value": value, **counts, **means}


def to_markdown(table: pd.DataFrame, heading: str) -> str:
    """Return a Markdown page: heading, a table per group with the trackers side by side, definitions."""
    from tabulate import tabulate

    parts = [heading]
    for group in dict.fromkeys(table["group"]):
        shown = table[table["group"] == group]
        values = list(dict.fromkeys(shown["value"]))
        cells = [
            [value, row["tracker"], row["objects"], *_cells(row)]
            for value in values
            for row in shown[shown["value"] == value].to_dict("records")
        ]
        headers = [group, "tracker", "objects", "floor px", *VALUES[1:-1], "ms / frame"]
        parts.append(tabulate(cells, headers=headers, tablefmt="pipe", disable_numparse=True))
    return "\n\n".join([*parts, DEFINITIONS])


def _cells(row: dict[str, Any]) -> list[str]:
    numbers = [row["floor"], *(row[name] for name in VALUES[1:-1])]
    cells = ["" if pd.isna(n) else f"{n:.3f}" for n in numbers]
    return [*cells, f"{1000 * row['seconds_per_frame']:.1f}"]


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw floor and Average Jaccard against length, occlusion and damage as a PNG.

    Args:
        table: of `summarise`.
        path: file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = [g for g in ("frames", "speed", "occlusion", "damage") if (table["group"] == g).any()]
    widths = [2 + len(set(table[table["group"] == g]["value"])) for g in groups]
    figure = Figure(figsize=(2.0 + 0.42 * sum(widths), 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(groups), squeeze=False, sharey="row", width_ratios=widths)
    trackers = list(dict.fromkeys(table["tracker"]))
    for column, group in enumerate(groups):
        values = list(dict.fromkeys(table[table["group"] == group]["value"]))
        for position, tracker in enumerate(trackers):
            part = table[(table["tracker"] == tracker) & (table["group"] == group)].set_index("value")
            shift = 0.14 * (position - 0.5 * (len(trackers) - 1))
            x = np.arange(len(values)) + shift
            style = {"color": COLOURS[position % 6], "marker": MARKERS[position % 6], "linestyle": "none"}
            floor, jaccard = (part[name].reindex(values).to_numpy(float) for name in ("floor", "aj"))
            axes[0, column].plot(x, np.maximum(floor, 1e-2), label=tracker, markersize=6, **style)
            axes[1, column].plot(x, jaccard, markersize=6, **style)
        axes[0, column].set_yscale("log")
        axes[0, column].tick_params(labelbottom=False)
        axes[0, column].set_title({"frames": "length (frames)", "damage": "damaged clips"}.get(group, group))
        labels = [value.replace("_", " ") for value in values]
        axes[1, column].set_xticks(range(len(values)), labels, rotation=60, ha="right")
        axes[1, column].set_ylim(-0.03, 1.05)
        for row in axes[:, column]:
            row.set_xticks(range(len(values)))
            row.set_xlim(-0.6, len(values) - 0.4)
            row.grid(True, axis="y", alpha=0.3)
    axes[0, 0].set_ylabel("floor: TrajError of a\nperfect video (px, 512)")
    axes[1, 0].set_ylabel("Average Jaccard\n(TAP-Vid)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    atomic(
        path, lambda temporary: figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    )
