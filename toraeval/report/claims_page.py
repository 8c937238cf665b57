"""`claims.md`: who beats Tora by how much, in which cases, and what happens there, in tables and sentences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from toraeval.report.claims import ANOTHER, CLAIM, CLAIMED, CLAIMED_AT, UNETS
from toraeval.report.claims_reading import AT_ONCE, WINDOWED, pick, reading
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
from toraeval.stats import with_interval
from toraeval.store.sealed import write_text
from toraeval.store.tables.run import length_words

TAGS = list(dict.fromkeys(tag for tag, _ in KINDS.values()))


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
        *bound(group),
        verdict(rows[rows["frames"] == longest], longest),
        "![ratios, seams and survival](claims.png)",
    ]
    for frames, here in rows.groupby("frames"):
        parts += [f"## {length_words(frames).capitalize()}", *_ratio_part(here, _floor(group, int(frames)))]
    for frames, here in rows[rows["measure"] == WINDOW_ERROR].groupby("frames"):
        made = {markdown_text(entry.label): how_made(entry) for entry in group.at(int(frames))}
        whole = rows[rows["frames"] == frames]
        parts += [f"## Why: {length_words(frames)}, window by window", *_window_part(whole, here, made)]
    parts += ["## Columns of claims.csv", _explained(CLAIMS), "Measures:", _explained(MEASURES)]
    return "\n\n".join(parts) + "\n"


def bound(group: Group) -> list[str]:
    """Return what has to be said of models that are given more of their objects than the papers'."""
    bindings: dict[str, str] = {}
    for entry in group.entries:
        made = entry.run.record.get("fingerprints", {}).get("generator", {})
        if "binding" in made:
            bindings[entry.label] = made["binding"]
    if "entity" not in bindings.values():
        return []
    if len(set(bindings.values())) > 1:
        told = ", ".join(f"{markdown_text(label)} {binding}" for label, binding in bindings.items())
        return [
            "Inputs are unequal: some models are given what is at the start of a path, copied along it (binding "
            f"entity), and others are not: {told}."
        ]
    return [
        "The models that were trained here bind entities: what is at the start of a path is copied along it into their "
        "input, as, among the published models, only Wan-Move does. So they compare designs under equal inputs; what "
        "Tora owes to the copies is measured by `bench preset=ablations`."
    ]


def how_made(entry: ReportedRun) -> str:
    """Return whether a model makes its clips window after window."""
    modes = entry.cases["length_mode"] if "length_mode" in entry.cases else pd.Series(dtype=str)
    return WINDOWED if (modes == "autoregressive").any() else AT_ONCE


def verdict(here: pd.DataFrame, frames: int) -> str:
    """Return what the ratios of one length say of the paper's claim, rival by rival."""
    said, judged = [], frames == CLAIMED_AT
    for row in pick(here, RATIO, ALL).itertuples():
        label, (low, high) = f"{row.model}: {told(row)} times Tora's error", CLAIMED
        if not np.isfinite([row.low, row.high]).all():
            outcome = "too few cases to say who wins"
        elif row.high < 1:
            outcome = f"{row.model} wins"
        elif row.low <= 1:
            outcome = "no winner, the interval holds 1"
        elif not judged:
            outcome = "Tora wins"
        elif row.high < low:
            outcome = f"Tora wins by less than {low:g} times"
        elif row.low > high:
            outcome = f"Tora wins by more than {high:g} times"
        else:
            outcome = f"Tora wins, and the interval meets {low:g} to {high:g}"
        of_paper = str(row.model).startswith(UNETS)
        about = "" if of_paper or not judged else f" {ANOTHER}"
        fails = "; the claim does not hold" if judged and of_paper and row.high < low else ""
        said.append(f"- {label}: {outcome}{fails}{about}.")
    return f"At {length_words(frames)}:\n\n" + "\n".join(said)


def told(row: Any) -> str:
    """Return a value with its interval, see `with_interval`."""
    return with_interval(row.value, row.low, row.high, int(row.cases), ".2f")


def _floor(group: Group, frames: int) -> float:
    """Return the error that the tracker reports on perfect videos, 0 where it was not measured."""
    found = [e.cases["tracker_floor"].mean() for e in group.at(frames) if "tracker_floor" in e.cases]
    return float(np.nanmax([0.0, *found]))


def _ratio_part(here: pd.DataFrame, floor: float) -> list[str]:
    ratios = here[here["measure"] == RATIO]
    rivals, kinds = (list(dict.fromkeys(ratios[name])) for name in ("model", "kind"))
    own = pick(here, ERROR)
    reference = own[~own["model"].isin(rivals)].set_index("kind")
    cells = []
    for kind in kinds:
        found = {row.model: told(row) for row in pick(ratios, RATIO, kind).itertuples()}
        base = reference.loc[kind]
        values = [found.get(rival, "") for rival in rivals]
        cells.append([kind, str(int(base["cases"])), f"{base['value']:.2f}", *values])
    table = tabulate(
        cells, ["cases", "number", "Tora, px", *rivals], tablefmt="github", disable_numparse=True
    )
    values = own.set_index(["model", "kind"])["value"]
    apart = {rival: values[rival] - reference["value"] for rival in rivals if rival in values}
    lines = [_winners(ratios, rival, apart.get(rival), floor) for rival in rivals]
    lines += [_shares(here, rival) for rival in rivals]
    legend = f"TrajError of {reference['model'].iloc[0]} in pixels, then how many times as large that of each rival is."
    return [legend, table, "\n".join(f"- {line}" for line in lines if line)]


def _winners(ratios: pd.DataFrame, rival: str, apart: pd.Series | None, floor: float) -> str:
    """Return in which kinds of case the interval lies on one side of 1.

    `apart` has the difference of the errors by kind, in pixels; those below the tracker's floor say nothing.
    """
    mine = ratios[(ratios["model"] == rival) & ratios["low"].notna()]
    loses, wins = list(mine.loc[mine["high"] < 1, "kind"]), list(mine.loc[mine["low"] > 1, "kind"])
    tiny = [] if apart is None else [kind for kind in (*wins, *loses) if abs(apart[kind]) < floor]
    wins, loses = ([kind for kind in kinds if kind not in tiny] for kinds in (wins, loses))
    if mine.empty:
        return f"{rival} and Tora: too few cases of any kind to say who wins."
    parts = [f"Tora wins in {_listed(wins)}"] if wins else []
    parts += [f"{rival} wins in {_listed(loses)}"] if loses else []
    rest = [kind for kind in mine["kind"] if kind not in (*wins, *loses, *tiny)]
    parts += [f"no winner in {_listed(rest)}"] if rest else []
    parts += [f"a difference below the tracker's floor in {_listed(tiny)}"] if tiny else []
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
    if not parts:
        return ""
    return f"{rival} minus Tora, {mine[ALL]:+.2f} px in the mean over all cases: {'; '.join(parts)}."


def _window_part(here: pd.DataFrame, windows: pd.DataFrame, made: dict[str, str]) -> list[str]:
    models = list(dict.fromkeys(windows["model"]))
    seams = []
    for model in models:
        for kind in (IN_VIEW, HIDDEN):
            found = {
                measure: pick(here[here["model"] == model], measure, kind)
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
    lines = [line for model in models for line in reading(here, model, made)]
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


def _listed(words: list[str]) -> str:
    return ", ".join(words)


def _explained(columns: dict[str, str]) -> str:
    return "\n".join(f"- `{name}`: {meaning}" for name, meaning in columns.items())
