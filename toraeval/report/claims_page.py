"""`claims.md`: who beats Tora by how much, in which cases, and what happens there, in tables and sentences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from toraeval.report.claims import CLAIM
from toraeval.report.collect import Group, ReportedRun
from toraeval.report.reasons import (
    AFTER,
    ALL,
    BEFORE,
    CLAIMS,
    ERROR,
    HIDDEN,
    IN_VIEW,
    KINDS,
    LIKENESS,
    MEASURES,
    PRESENT,
    RATIO,
    SHARE,
    STEP,
    WINDOW,
    WINDOW_ERROR,
)
from toraeval.report.tables import to_csv
from toraeval.report.texts import markdown_text
from toraeval.stats import without_interval
from toraeval.store.sealed import write_text

CLAIMED = (3.0, 5.0)
UNETS = ("motionctrl", "dragnuwa")
TAGS = list(dict.fromkeys(tag for tag, _ in KINDS.values()))
ALIKE = 0.02  # of likeness
NO_STEP = 0.5  # pixels
AT_ONCE, WINDOWED = "all frames at once", "window after window"


def write(rows: pd.DataFrame, group: Group, folder: Path) -> list[Path]:
    """Write `claims.md` and `claims.csv`; without a rival, remove those of an earlier report.

    Args:
        rows: of `reasons.reasons`.
        group: where they come from.
        folder: where the files go.

    Returns:
        The written files.
    """
    paths = [folder / "claims.csv", folder / "claims.md"]
    if rows.empty:
        for path in paths:
            path.unlink(missing_ok=True)
        return []
    write_text(paths[0], to_csv(rows))
    write_text(paths[1], markdown(rows, group))
    return paths


def markdown(rows: pd.DataFrame, group: Group) -> str:
    """Return the page."""
    rows = rows.assign(model=rows["model"].map(markdown_text))
    longest = max(rows["frames"])
    parts = [
        "# Where Tora wins, where it loses, and why",
        f"Suite {group.suite}, {group.size}, tracker {group.tracker}. Written with the tables from the stored runs, by "
        "`bench` and again by `report`.",
        CLAIM,
        verdict(rows[rows["frames"] == longest], longest),
        "![ratios, seams and survival](claims.png)",
    ]
    for frames, here in rows.groupby("frames"):
        parts += [f"## {frames} frames", *_ratio_part(here)]
    for frames, here in rows[rows["measure"] == WINDOW_ERROR].groupby("frames"):
        made = {markdown_text(entry.label): how_made(entry) for entry in group.at(int(frames))}
        whole = rows[rows["frames"] == frames]
        parts += [f"## Why: {frames} frames, window by window", *_window_part(whole, here, made)]
    parts += ["## Columns of claims.csv", _explained(CLAIMS), "Measures:", _explained(MEASURES)]
    return "\n\n".join(parts) + "\n"


def how_made(entry: ReportedRun) -> str:
    """Return whether a model makes its clips window after window."""
    modes = entry.cases["length_mode"] if "length_mode" in entry.cases else pd.Series(dtype=str)
    return WINDOWED if (modes == "autoregressive").any() else AT_ONCE


def verdict(here: pd.DataFrame, frames: int) -> str:
    """Return what the ratios of one length say of the paper's claim, rival by rival."""
    said = []
    for row in _pick(here, RATIO, ALL).itertuples():
        label, (low, high) = f"{row.model}: {told(row)} times Tora's error", CLAIMED
        if not np.isfinite([row.low, row.high]).all():
            outcome = "too few cases to say who wins"
        elif row.high < 1:
            outcome = f"{row.model} wins"
        elif row.low <= 1:
            outcome = "no winner, the interval holds 1"
        elif row.high < low:
            outcome = f"Tora wins by less than {low:g} times"
        elif row.low > high:
            outcome = f"Tora wins by more than {high:g} times"
        else:
            outcome = f"Tora wins, and the interval meets {low:g} to {high:g}"
        of_paper = str(row.model).startswith(UNETS)
        about = "" if of_paper else " (no U-Net, so the claim is not about it)"
        fails = "; the claim does not hold" if of_paper and row.high < low else ""
        said.append(f"- {label}: {outcome}{fails}{about}.")
    return f"At {frames} frames:\n\n" + "\n".join(said)


def told(row: Any) -> str:
    """Return a value with its interval, or with the number of cases where that is too small for one."""
    if np.isnan(row.value):
        return ""
    text = f"{row.value:.2f}"
    if np.isfinite([row.low, row.high]).all():
        return f"{text} [{row.low:.2f}, {row.high:.2f}]"
    few = without_interval(int(row.cases))
    return f"{text} ({few})" if few else text


def _ratio_part(here: pd.DataFrame) -> list[str]:
    ratios = here[here["measure"] == RATIO]
    rivals, kinds = (list(dict.fromkeys(ratios[name])) for name in ("model", "kind"))
    own = _pick(here, ERROR)
    reference = own[~own["model"].isin(rivals)].set_index("kind")
    cells = []
    for kind in kinds:
        found = {row.model: told(row) for row in _pick(ratios, RATIO, kind).itertuples()}
        base = reference.loc[kind]
        values = [found.get(rival, "") for rival in rivals]
        cells.append([kind, str(int(base["cases"])), f"{base['value']:.2f}", *values])
    table = tabulate(
        cells, ["cases", "number", "Tora, px", *rivals], tablefmt="github", disable_numparse=True
    )
    lines = [_winners(ratios, rival) for rival in rivals] + [_shares(here, rival) for rival in rivals]
    legend = f"TrajError of {reference['model'].iloc[0]} in pixels, then how many times as large that of each rival is."
    return [legend, table, "\n".join(f"- {line}" for line in lines if line)]


def _winners(ratios: pd.DataFrame, rival: str) -> str:
    """Return in which kinds of case the interval lies on one side of 1."""
    mine = ratios[(ratios["model"] == rival) & ratios["low"].notna()]
    loses, wins = list(mine.loc[mine["high"] < 1, "kind"]), list(mine.loc[mine["low"] > 1, "kind"])
    if mine.empty:
        return f"{rival} and Tora: too few cases of any kind to say who wins."
    parts = [f"Tora wins in {_listed(wins)}"] if wins else []
    parts += [f"{rival} wins in {_listed(loses)}"] if loses else []
    rest = [kind for kind in mine["kind"] if kind not in (*wins, *loses)]
    parts += [f"no winner in {_listed(rest)}"] if rest else []
    return f"{rival} and Tora: {'; '.join(parts)}."


def _shares(here: pd.DataFrame, rival: str) -> str:
    """Return which kind of case makes most of the difference of the means, for each tag."""
    mine = here[(here["model"] == rival) & (here["measure"] == SHARE)].set_index("kind")["value"]
    if ALL not in mine or len(mine) == 1:
        return ""
    parts = []
    for tag in TAGS:
        of_tag = mine[[kind for kind in mine.index if kind in KINDS and KINDS[kind][0] == tag]]
        if len(of_tag) > 1:
            parts.append(", ".join(f"{value:+.2f} {kind}" for kind, value in of_tag.items()))
    return f"{rival} minus Tora, {mine[ALL]:+.2f} px in the mean over all cases: {'; '.join(parts)}."


def _window_part(here: pd.DataFrame, windows: pd.DataFrame, made: dict[str, str]) -> list[str]:
    models = list(dict.fromkeys(windows["model"]))
    seams = []
    for model in models:
        for kind in (IN_VIEW, HIDDEN):
            found = {
                measure: _pick(here[here["model"] == model], measure, kind)
                for measure in (BEFORE, AFTER, STEP)
            }
            pooled = [part[part["window"].isna()] for part in found.values()]
            if all(len(part) for part in pooled):
                values = [told(next(part.itertuples())) for part in pooled]
                seams.append(
                    [model, made.get(model, ""), kind, str(int(pooled[0]["cases"].iloc[0])), *values]
                )
    header = ["model", "makes", "", "cases", "last frame before", "first frame after", "step"]
    parts = [
        f"Error in pixels in the last scored frame of a window of {WINDOW} new frames and in the first of the next. "
        "All models are read in the same frames; only those marked as such begin anew there. An object that is hidden "
        "there is read when it was last seen and when it is to be seen again.",
        tabulate(seams, header, tablefmt="github", disable_numparse=True),
    ]
    for measure, title in (
        (WINDOW_ERROR, "TrajError in each window, pixels:"),
        (
            LIKENESS,
            "Likeness of what is at the tracked point to the object in the first frame, 1 is equal; an object that is "
            "left behind looks like itself, too:",
        ),
        (PRESENT, "Share of frames in which what is at the tracked point looks like the object:"),
    ):
        table = _by_window(here, measure, models)
        parts += [title, table] if table else []
    lines = [line for model in models for line in _reading(here, model, made)]
    return [*parts, "\n".join(f"- {line}" for line in lines)]


def _by_window(here: pd.DataFrame, measure: str, models: Iterable[str]) -> str:
    mine = here[here["measure"] == measure]
    if mine.empty:
        return ""
    numbers = sorted(mine["window"].unique())
    wide = mine.pivot(index="model", columns="window", values="value")
    cells = [
        [model, *("" if np.isnan(wide.at[model, n]) else f"{wide.at[model, n]:.2f}" for n in numbers)]
        for model in models
        if model in wide.index
    ]
    names = [f"{int(n) * WINDOW + 1}+" for n in numbers]
    return tabulate(cells, ["model", *names], tablefmt="github", disable_numparse=True)


def _reading(here: pd.DataFrame, model: str, made: dict[str, str]) -> list[str]:
    """Return what the numbers of one rival say about the reason of its ratio."""
    base = _base(here)
    if model == base:
        return []
    ratio = next(_pick(here[here["model"] == model], RATIO, ALL).itertuples(), None)
    if ratio is None:
        return []
    lines = []
    errors = {name: _windows(here, name, WINDOW_ERROR) for name in (model, base)}
    mine, other = errors[model], errors[base]
    if len(mine) > 1 and len(other) > 1:
        lines.append(
            f"{model} ({made.get(model, '')}) against Tora: {mine[0]:.2f} to {other[0]:.2f} px in the first window, "
            f"where nothing has to be remembered, and {mine[-1]:.2f} to {other[-1]:.2f} px in the last. "
            + _course(mine, other)
        )
    steps = {(n, kind): _step(here, n, kind) for n in (model, base) for kind in (IN_VIEW, HIDDEN)}
    for kind in (IN_VIEW, HIDDEN):
        step, reference = steps[model, kind], steps[base, kind]
        if np.isfinite([step, reference]).all():
            outcome = _of_steps(step, reference, made.get(model, ""))
            changes = f"its error changes by {step:+.2f} px there, Tora's by {reference:+.2f} px"
            lines += [f"{model}, {kind}: {changes}. {outcome}"]
    looks = {name: _windows(here, name, LIKENESS) for name in (model, base)}
    if all(len(found) > 1 for found in looks.values()):
        lost = {name: found[0] - found[-1] for name, found in looks.items()}
        alike = abs(lost[model] - lost[base]) < ALIKE
        keeps = "neither keeps more" if alike else f"{min(lost, key=lost.__getitem__)} keeps more"
        lines.append(
            f"{model}, looks: objects lose {lost[model]:.2f} of their likeness from the first window to the last, "
            f"Tora's {lost[base]:.2f}; {keeps}."
        )
    return lines


def _course(mine: list[float], other: list[float]) -> str:
    """Return where the lead of the better of two in the last window was made."""
    first, last = mine[0] - other[0], mine[-1] - other[-1]
    if first * last < 0:
        return "Who leads changes in between: what comes later decides, not how well one window is made."
    if abs(first) >= 0.75 * abs(last):
        return "The difference is there in the first window already: it is how well 16 frames are made, not memory."
    return "The difference is there in the first window and larger in the last."


def _of_steps(mine: float, other: float, made: str) -> str:
    """Return what two steps at the seams say; `NO_STEP` is taken for none."""
    if made != WINDOWED:
        return "Neither begins anew there; the steps show what these frames ask for."
    if abs(mine - other) < NO_STEP:
        return "Beginning a new window there costs it nothing."
    if mine > other:
        return f"Beginning a new window there costs it {mine - other:.2f} px more."
    return "It comes out of the seam better than Tora, although it begins a new window there."


def _base(here: pd.DataFrame) -> str:
    rivals = set(here.loc[here["measure"] == RATIO, "model"])
    return next(str(model) for model in here["model"] if model not in rivals)


def _windows(here: pd.DataFrame, model: str, measure: str) -> list[float]:
    return list(_pick(here[here["model"] == model], measure, ALL).sort_values("window")["value"])


def _step(here: pd.DataFrame, model: str, kind: str) -> float:
    found = _pick(here[here["model"] == model], STEP, kind)
    pooled = found.loc[found["window"].isna(), "value"]
    return float(pooled.iloc[0]) if len(pooled) else float("nan")


def _pick(rows: pd.DataFrame, measure: str, kind: str | None = None) -> pd.DataFrame:
    chosen = rows[rows["measure"] == measure]
    return chosen if kind is None else chosen[chosen["kind"] == kind]


def _listed(words: list[str]) -> str:
    return ", ".join(words)


def _explained(columns: dict[str, str]) -> str:
    return "\n".join(f"- `{name}`: {meaning}" for name, meaning in columns.items())
