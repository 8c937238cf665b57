"""What the windows of two models say about who wins, in sentences that depend on the numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toraeval.report.reasons import ALL, HIDDEN, IN_VIEW, LIKENESS, RATIO, STEP, WINDOW_ERROR

AT_ONCE, WINDOWED = "all frames at once", "window after window"
ALIKE = 0.02  # of likeness
NO_STEP = 0.5  # pixels


def reading(here: pd.DataFrame, model: str, made: dict[str, str]) -> list[str]:
    """Return what the numbers of one rival say about the reason of its ratio."""
    base = _base(here)
    if model == base:
        return []
    ratio = next(pick(here[here["model"] == model], RATIO, ALL).itertuples(), None)
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
    for kind in (IN_VIEW, HIDDEN):
        step, reference = _step(here, model, kind), _step(here, base, kind)
        if step is not None and reference is not None:
            outcome = _of_steps(step, reference, made.get(model, ""))
            changes = f"its error changes by {step.value:+.2f} px there, Tora's by {reference.value:+.2f} px"
            lines += [f"{model}, {kind}: {changes}{_sure(step, reference)}. {outcome}"]
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
    if max(abs(first), abs(last)) < NO_STEP:
        return f"They differ by less than {NO_STEP:g} px in either."
    if first * last < 0:
        return "Who leads changes in between: what comes later decides, not how well one window is made."
    if abs(first) >= 0.75 * abs(last):
        return "The difference is there in the first window already: it is how well 16 frames are made, not memory."
    return "The difference is there in the first window and larger in the last."


def _of_steps(step: Any, reference: Any, made: str) -> str:
    """Return what two steps at the seams say; `NO_STEP` is taken for none."""
    mine, other = step.value, reference.value
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
    return list(pick(here[here["model"] == model], measure, ALL).sort_values("window")["value"])


def _sure(step: Any, reference: Any) -> str:
    """Return whether the two could be the same, as far as their intervals tell."""
    bounds = (step.low, step.high, reference.low, reference.high)
    if not np.isfinite(bounds).all():
        return " (too few cases for an interval)"
    apart = step.high < reference.low or reference.high < step.low
    return "" if apart else " (the intervals overlap)"


def _step(here: pd.DataFrame, model: str, kind: str) -> Any:
    """Return the row of the step at all seams together, None without one."""
    found = pick(here[here["model"] == model], STEP, kind)
    return next(found[found["window"].isna()].itertuples(), None)


def pick(rows: pd.DataFrame, measure: str, kind: str | None = None) -> pd.DataFrame:
    """Return the rows of one measure, of one kind of case if it is given."""
    chosen = rows[rows["measure"] == measure]
    return chosen if kind is None else chosen[chosen["kind"] == kind]
