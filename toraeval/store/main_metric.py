"""Which metric of a run, and which of its values, tables show first, rank by and give the tracker's floor for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MAIN_METRIC = "traj_error"
MAIN = (MAIN_METRIC, MAIN_METRIC)
"""The metric and its value."""


def main_of(metrics: Iterable[str]) -> str:
    """Return the main one of the chosen metrics: `traj_error` where it is among them (or none is), else the first."""
    chosen = list(metrics)
    return MAIN_METRIC if MAIN_METRIC in chosen or not chosen else chosen[0]


def main_columns(metric: str, definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values of a metric that tables show: as it states, else the one named like it, else its first.

    Args:
        metric: the name under which it was chosen.
        definition: what it states: `metric`, its own name, `columns` (value -> meaning) and, where it has several
            main values, `main`.
    """
    stated, columns = tuple(definition.get("main", ())), list(definition.get("columns", ()))
    own = str(definition.get("metric", metric))
    return stated or ((own,) if own in columns or not columns else (columns[0],))
