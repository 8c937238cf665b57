"""Main value of every case beside what its path asks for: the rows behind error by path family and by speed.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from toraeval.report.collect import Group, ReportedRun
from toraeval.stats import case_means
from toraeval.store.sealed import require_arrays
from toraeval.store.slot import TRACKS
from toraeval.types import BoolArray, FloatArray

BY_CASE: dict[str, str] = {
    "model": "registry name",
    "frames": "frames asked for; 0 where every case has its own length",
    "case": "case id",
    "family": "family of the path as the suite tags it; empty where it does not",
    "objects": "objects with a path",
    "speed": "mean distance that the asked path goes from one frame to the next, pixels of the scored size",
    "column": "name of the main value",
    "value": "main value, mean over seeds; empty where it has none",
    "direction": "which is better",
}
"""Columns of `by_case.csv` and what each means."""


def by_case(group: Group, direction: str) -> pd.DataFrame:
    """Return one row per model, length and case, with the columns of `BY_CASE`."""
    rows = []
    speeds: dict[tuple[int, str], tuple[int, float]] = {}
    for entry in group.entries:
        values = case_means(entry.by_case(group.main_column))
        for case, row in entry.cases.sort_values("seed").groupby("case").first().iterrows():
            known = (entry.frames, str(case))
            if known not in speeds and (found := _asked(entry, str(row["sample"]))) is not None:
                speeds[known] = found
            objects, speed = speeds.get(known, (0, np.nan))
            family = row.get("tag_family")
            rows.append((
                entry.label, entry.frames, str(case), family if isinstance(family, str) else "", objects, speed,
                group.main_column, values.get(str(case), np.nan), direction,
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(BY_CASE)).sort_values(
        ["frames", "model", "case"], kind="stable", ignore_index=True
    )


def _asked(entry: ReportedRun, sample: str) -> tuple[int, float] | None:
    """Return number of objects and speed of the path that was asked for, None where it was never tracked."""
    arrays = require_arrays(entry.run.slot(sample).folder / TRACKS, "target_")
    if arrays is None:
        return None
    return len(arrays["NT2"]), mean_speed(arrays["NT2"], arrays["visible_NT"])


def mean_speed(target_NT2: FloatArray, visible_NT: BoolArray) -> float:
    """Return the mean length of the steps between frames in which an object is visible in both; NaN without any."""
    steps_NT = np.linalg.norm(np.diff(target_NT2, axis=1), axis=-1)
    counted = visible_NT[:, 1:] & visible_NT[:, :-1]
    return float(steps_NT[counted].mean()) if counted.any() else float("nan")
