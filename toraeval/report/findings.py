"""Everything that is said of one group of runs, computed once for the tables and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from toraeval.report import claims, measures, tables
from toraeval.report.collect import Group
from toraeval.report.curves import error_over_time
from toraeval.report.measures import Measure, main_measure
from toraeval.report.people import people_lines


@dataclass(frozen=True)
class Findings:
    """One group of runs and what follows from it; every part is computed when it is first asked for."""

    group: Group

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The result table, with the columns of `tables.columns_of`."""
        return tables.table(self.group)

    @cached_property
    def further(self) -> pd.DataFrame:
        """Every value of every metric, with the columns of `measures.VALUES`."""
        return measures.table(self.group)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Mean error over time, with the columns of `curves.ERROR_OVER_TIME`."""
        return error_over_time(self.group)

    @cached_property
    def ratios(self) -> pd.DataFrame:
        """TrajError of each model over that of Tora, with the columns of `claims.RATIOS`."""
        return claims.ratios(self.group)

    @cached_property
    def said(self) -> Mapping[str, list[str]]:
        """Heading -> sentences below the tables."""
        return {
            "Compared with Tora": claims.ratio_lines(self.ratios),
            "What people say": people_lines(self.group),
            "Mind this": [*tables.notes(self.group, self.rows), *measures.remarks(self.further)],
        }

    @cached_property
    def main(self) -> Measure:
        """The metric that the tables show first."""
        return main_measure(self.group)

    @property
    def floors(self) -> dict[int, float]:
        """Length -> mean tracker floor, NaN where it was not measured."""
        return {int(str(n)): float(part.mean()) for n, part in self.rows.groupby("frames")["tracker_floor"]}
