"""Everything that is said of one group of runs, computed once for the tables and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from toraeval.report import claims, measures, tables
from toraeval.report.collect import Group
from toraeval.report.curves import error_over_time
from toraeval.report.measures import Measure, main_measure
from toraeval.report.people import people_lines


@dataclass(frozen=True)
class Findings:
    """One group of runs and what follows from it.

    Attributes:
        group: the runs.
        rows: the result table, with the columns of `tables.columns_of`.
        further: every value of every metric, with the columns of `measures.VALUES`.
        curves: mean error over time, with the columns of `curves.ERROR_OVER_TIME`.
        ratios: TrajError of each model over that of Tora, with the columns of `claims.RATIOS`.
        said: heading -> sentences below the tables.
        main: the metric that the tables show first.
        floors: length -> mean tracker floor, NaN where it was not measured.
    """

    group: Group
    rows: pd.DataFrame
    further: pd.DataFrame
    curves: pd.DataFrame
    ratios: pd.DataFrame
    said: Mapping[str, list[str]]
    main: Measure
    floors: Mapping[int, float]

    @classmethod
    def of(cls, group: Group) -> Findings:
        """Return what follows from a group."""
        rows, further, ratios = tables.table(group), measures.table(group), claims.ratios(group)
        said = {
            "Compared with Tora": claims.ratio_lines(ratios),
            "What people say": people_lines(group),
            "Mind this": [*claims.notes(group, rows), *measures.remarks(further)],
        }
        floors = {int(str(n)): float(part.mean()) for n, part in rows.groupby("frames")["tracker_floor"]}
        return cls(group, rows, further, error_over_time(group), ratios, said, main_measure(group), floors)
