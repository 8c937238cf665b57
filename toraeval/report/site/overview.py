"""The page that covers several groups of runs: every suite beside every model, and the way to each suite's own page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from toraeval.report.findings import Findings
from toraeval.report.measures import arrow
from toraeval.report.site import headline
from toraeval.report.site.cases import style_classes
from toraeval.report.site.headline import Bar, Standing
from toraeval.report.site.view import Link, provenance
from toraeval.report.texts import slug
from toraeval.store.tables.run import RunResult, length_words

ALL_SUITES: dict[str, str] = {
    "page": "folder of the page that the row is from",
    "suite": "name and version of the suite",
    "size": "width x height of the scored clips",
    "tracker": "what followed the objects",
    "frames": "frames asked for and scored; 0 where every case has its own length",
    "model": "label of the row",
    "column": "value that the suite is ranked by",
    "unit": "its unit",
    "direction": "which end of it is better",
    "cases": "scored cases",
    "value": "mean over cases",
    "low": "lower bound of its 95 % interval",
    "high": "upper bound",
    "tracker_floor": "what the tracker makes of a perfect video",
    "failures": "failed samples",
}
"""Columns of `all_suites.csv` and what each means."""


@dataclass(frozen=True)
class SuitePage:
    """One group of runs: the folder of its page, its title (the suite, as far as it is enough), who stands where."""

    folder: str
    title: str
    findings: Findings
    standings: list[Standing]

    @property
    def measured(self) -> str:
        """The value that the models are ranked by, its better end and its unit."""
        main = self.findings.main
        return " ".join(filter(None, (self.findings.group.main_column, arrow(main.direction), main.unit)))

    @property
    def setting(self) -> str:
        """Size and tracker."""
        return f"{self.findings.group.size}, {self.findings.group.tracker or 'no tracker'}"

    @property
    def failed(self) -> int:
        return int(self.findings.rows["failures"].sum())

    @property
    def styles(self) -> dict[str, str]:
        return style_classes(self.findings.group)


@dataclass(frozen=True)
class Row:
    """One suite at one length: what each model of the overview got there, None where it was not run."""

    page: SuitePage
    standing: Standing
    cells: list[Bar | None]

    @property
    def length(self) -> str:
        return length_words(self.standing.frames)


@dataclass(frozen=True)
class Overview:
    """The page that leads to those of several groups."""

    pages: list[SuitePage]
    empty: list[dict[str, str]]

    @classmethod
    def of(cls, all_findings: Sequence[Findings], empty: Sequence[RunResult]) -> Overview:
        """Return it, with the name of a folder and a title for each group; those of equal names are numbered."""
        seen: dict[str, int] = {}
        times = Counter(findings.group.suite for findings in all_findings)
        pages = []
        for findings in all_findings:
            group, name = findings.group, slug(findings.group.name)
            seen[name] = seen.get(name, 0) + 1
            known = (group.suite, group.size, group.tracker or "no tracker")
            title = ", ".join(known) if times[group.suite] > 1 else group.suite
            if seen[name] > 1:
                name, title = f"{name}-{seen[name]}", f"{title} ({seen[name]})"
            pages.append(SuitePage(name, title, findings, headline.standings(findings)))
        return cls(pages, [provenance(run) for run in empty])

    @property
    def numbered(self) -> bool:
        """Whether several pages show the same suite, size and tracker."""
        return len({page.findings.group.name for page in self.pages}) < len(self.pages)

    @cached_property
    def models(self) -> list[str]:
        """Every label once: models in the order in which the suites show them, then the references."""
        references: dict[str, bool] = {}
        for page in self.pages:
            for bar in (bar for standing in page.standings for bar in standing.bars):
                references.setdefault(bar.label, bar.reference)
        return sorted(references, key=lambda label: references[label])

    @property
    def rows(self) -> list[Row]:
        """One for each suite and length."""
        found = []
        for page in self.pages:
            for standing in page.standings:
                bars = {bar.label: bar for bar in standing.bars}
                found.append(Row(page, standing, [bars.get(label) for label in self.models]))
        return found

    def links(self, here: str) -> list[Link]:
        """Return the pages of all suites as seen from that in the folder `here`."""
        return [(f"../{page.folder}/index.html", page.title, page.folder == here) for page in self.pages]

    def table(self) -> pd.DataFrame:
        """Return what the page compares, with the columns of `ALL_SUITES`."""
        parts = []
        for page in self.pages:
            rows, group, main = page.findings.rows, page.findings.group, page.findings.main
            column = group.main_column
            values = rows.rename(columns={column: "value", f"{column}_low": "low", f"{column}_high": "high"})
            known = {"page": page.folder, "suite": group.suite, "size": group.size, "tracker": group.tracker}
            of_metric = {"column": column, "unit": main.unit, "direction": main.direction}
            parts.append(values.assign(**known, **of_metric)[list(ALL_SUITES)])
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(ALL_SUITES))
