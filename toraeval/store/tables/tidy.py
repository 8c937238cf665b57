"""Stored runs as tidy data frames: one observation per row, every row with its run, model and length.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.store import record
from toraeval.store.tables.run import CASES, RECORD, TIMINGS, RunResult, load_run, size_words
from toraeval.types import UserError, counted

RUN = ("run", "model", "suite", "frames", "height", "width", "tracker")
CURVE = ("sample", "case", "seed", "metric", "array", "object", "frame", "value")
MOST_SHOWN = 30
"""Runs that the text of `Results` shows; more are cut in the middle."""
SET_SCORE = ("metric", "version", "column", "value", "samples", "skipped")


FRAMES = ("runs", "cases", "curves", "set_scores", "skips", "timings")


@dataclass(frozen=True, repr=False)
class Results:
    """Data frames of one or several runs; each one starts with the columns of `RUN`.

    Attributes:
        loaded: the runs, in the order of their folders.
    """

    loaded: tuple[RunResult, ...]

    def __repr__(self) -> str:
        return f"{self._head}\n{self._shown.to_string(index=False, max_rows=MOST_SHOWN)}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        table = self._shown.to_html(index=False, max_rows=MOST_SHOWN, border=0, na_rep="")
        return f"<p>{self._head}</p>{table}"

    @property
    def _head(self) -> str:
        return f"Results of {counted(len(self.loaded), 'run')}; data frames: {', '.join(FRAMES)}"

    @property
    def _shown(self) -> pd.DataFrame:
        """One row per run: what it is, and the mean of its main value over cases."""
        rows = [
            {
                "model": run.model,
                "suite": run.suite,
                "frames": run.frames,
                "size": size_words(run.width, run.height),
                "tracker": run.tracker,
                "samples": len(run.cases),
                "failed": run.num_failed,
                **_main_mean(run),
            }
            for run in self.loaded
        ]
        return pd.DataFrame(rows).fillna("")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run, with `samples` (rows in its table), `failed`, `partial` and `folder`."""
        rows = [
            {
                **_identity(run),
                "samples": len(run.cases),
                "failed": run.num_failed,
                "partial": bool(run.record.get("partial")),
                "folder": str(run.run_dir),
            }
            for run in self.loaded
        ]
        return pd.DataFrame(rows, columns=[*RUN, "samples", "failed", "partial", "folder"])

    @cached_property
    def cases(self) -> pd.DataFrame:
        """One row per sample: `cases.csv` with the run's folder name."""
        return _joined((run, run.cases) for run in self.loaded)

    @cached_property
    def timings(self) -> pd.DataFrame:
        """One row per sample: seconds of generating, tracking and scoring."""
        tables = ((run, run.run_dir / TIMINGS) for run in self.loaded)
        return _joined(
            (run, pd.read_csv(path, dtype={"sample": str, "case": str}))
            for run, path in tables
            if path.is_file()
        )

    @cached_property
    def skips(self) -> pd.DataFrame:
        """One row per metric that did not run on a sample, with its reason."""
        return _joined((run, run.skips) for run in self.loaded)

    @cached_property
    def set_scores(self) -> pd.DataFrame:
        """One row per value of a whole set; a metric without one has an empty value and its reason."""
        rows = []
        for run in self.loaded:
            for metric, stored in run.set_scores.items():
                shared = {
                    **_identity(run),
                    "metric": metric,
                    "version": stored["version"],
                    "samples": len(stored["samples"]),
                    "skipped": stored["skipped"],
                }
                found = stored["values"] or {metric: np.nan}
                rows += [{**shared, "column": column, "value": value} for column, value in found.items()]
        return pd.DataFrame(rows, columns=[*RUN, *SET_SCORE])

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per number of every array over frames (`*_NT` per object, `*_T` without an object).

        Numbers that do not count (NaN) have no row.
        """
        parts = [
            _curve(run, sample, str(name), np.asarray(values, dtype=np.float64))
            for run in self.loaded
            for sample in run.cases.loc[run.cases["status"] != "failed"].to_dict("records")
            for name, values in run.load_arrays(str(sample["sample"])).items()
            if name.endswith(("_NT", "_T"))
        ]
        columns = [*RUN, *CURVE]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def load_results(path: str | Path) -> Results:
    """Return the tidy data frames of one run, or of every run below a folder.

    Args:
        path: a run folder, or a results folder.

    Raises:
        UserError: no finished run is there.
    """
    root = Path(path)
    # a run with one of its files missing is refused, not left out
    found = {file.parent for name in (RECORD, CASES) for file in root.rglob(name)}
    folders = sorted(folder for folder in found if (folder / "cases").is_dir())
    if not folders:
        raise UserError(
            f"{path}: no finished run below this folder; make one with: "
            + record.command_line(["run", f"results={path}"])
        )
    return Results(tuple(load_run(folder) for folder in folders))


def _main_mean(run: RunResult) -> dict[str, str]:
    """Return the mean over cases of a run's main value, by its column; nothing where no case has one."""
    if run.main_column not in run.cases:
        return {}
    means = run.cases.groupby("case")[run.main_column].mean()
    return {run.main_column: f"{means.mean():.4g}"} if means.notna().any() else {}


def _identity(run: RunResult) -> dict[str, Any]:
    facts = {name: getattr(run, name) for name in RUN if name != "run"}
    return {"run": run.run_dir.name, **facts}


def _joined(parts: Iterator[tuple[RunResult, pd.DataFrame]]) -> pd.DataFrame:
    whole = []
    for run, table in parts:
        own = table.drop(columns=[name for name in RUN if name in table and name not in ("height", "width")])
        facts = {name: value for name, value in _identity(run).items() if name not in own}
        whole.append(own.assign(**facts)[[*RUN, *(name for name in own if name not in RUN)]])
    kept = [table for table in whole if len(table)]
    if not kept:
        return whole[0] if whole else pd.DataFrame(columns=list(RUN))
    return pd.concat(kept, ignore_index=True)


def _curve(run: RunResult, sample: dict[str, Any], name: str, values: Any) -> pd.DataFrame:
    metric, _, array = name.partition("/")
    of_objects = array.endswith("_NT")
    grid = values if of_objects else values[None]
    objects, frames = np.nonzero(np.isfinite(grid))
    rows = {
        "object": objects if of_objects else np.full(len(objects), -1),
        "frame": frames,
        "value": grid[objects, frames],
    }
    facts = {**_identity(run), **{key: sample[key] for key in ("sample", "case", "seed")}}
    return pd.DataFrame(rows).assign(**facts, metric=metric, array=array)
