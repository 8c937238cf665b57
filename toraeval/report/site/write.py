"""Write the page of some runs: one folder that can be zipped or hosted, and opened without a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toraeval.report import tables
from toraeval.report.findings import Findings
from toraeval.report.html import filled, script
from toraeval.report.site.cases import ShownCase, cases
from toraeval.report.site.headline import to_latex
from toraeval.report.site.overview import Overview
from toraeval.report.site.view import Link, case_view, index_view, player_index, record_name
from toraeval.store.sealed import atomic, require_no_link
from toraeval.store.tables.run import RECORD, RunResult

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
WRITTEN = "assets/written.json"
"""Lists the files of the page, so that the next one can remove those that it does not have."""


@dataclass
class PageFolder:
    """The folder of one page; keeps account of what it writes.

    Attributes:
        path: the folder.
        files: names of what was written so far, relative to it.
    """

    path: Path
    files: list[str] = field(default_factory=list)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file where its content is another.

        Without waiting for the disk: these are hundreds that can be drawn again.

        Raises:
            UserError: the place cannot be written.
        """
        content = content.encode() if isinstance(content, str) else content
        place = self.path / name
        require_no_link(self.path, place.parent)
        self.files.append(name)
        if place.is_file() and place.stat().st_size == len(content) and place.read_bytes() == content:
            return
        atomic(place, lambda temporary: temporary.write_bytes(content), durable=False)

    def finish(self) -> None:
        """Remove what a former page has left and this one does not have; files of others stay."""
        listed = self.path / WRITTEN
        former: list[str] = []
        if listed.is_file():
            try:
                former = [str(name) for name in json.loads(listed.read_text(encoding="utf-8"))]
            except (ValueError, TypeError):
                former = []
        root = self.path.resolve()
        for name in set(former) - set(self.files) - {WRITTEN}:
            place = self.path / name
            if place.is_file() and place.resolve().is_relative_to(root):
                place.unlink()
                for parent in place.resolve().parents:
                    if parent == root or any(parent.iterdir()):
                        break
                    parent.rmdir()
        self.write(WRITTEN, json.dumps(sorted({*self.files, WRITTEN}), indent=0) + "\n")


def write(found: Sequence[Findings], path: Path, empty: Sequence[RunResult] = ()) -> Path:
    """Write the page of some groups of runs and return its first file.

    One group is one page; several get a page each and one that covers them all, because their numbers must not be
    ranked together.

    Args:
        found: of each group.
        path: the folder; made when missing.
        empty: runs that have no sample to show; they are named.

    Raises:
        UserError: a stored file is damaged, or the place cannot be written.
    """
    folder = PageFolder(path)
    if len(found) == 1:
        _page(found[0], folder, empty, [])
        return path / INDEX
    overview = Overview.of(found, empty)
    for page in overview.pages:
        part = PageFolder(path / page.folder)
        _page(page.findings, part, (), overview.links(page.folder))
        folder.files += [f"{page.folder}/{name}" for name in part.files]
    _assets(folder)
    folder.write("all_suites.csv", tables.to_csv(overview.table()))
    folder.write(INDEX, filled("overview.html.j2", autoescape=True, view=overview))
    folder.finish()
    return path / INDEX


def _page(findings: Findings, folder: PageFolder, empty: Sequence[RunResult], siblings: list[Link]) -> None:
    _assets(folder)
    folder.write("table1.csv", tables.to_csv(findings.rows))
    folder.write("table1.tex", to_latex(findings))
    folder.write("metrics.csv", tables.to_csv(findings.further))
    folder.write("error_over_time.csv", tables.to_csv(findings.curves))
    for entry in findings.group.entries:
        record = entry.run.run_dir / RECORD
        if record.is_file():
            folder.write(record_name(entry.run), record.read_bytes())
    shown: list[ShownCase] = []
    for case in cases(findings):
        for clip in case.clips:
            if clip.source is not None:
                folder.write(clip.file, clip.source.read_bytes())
        player = {"case": case.case, "clips": [clip.content for clip in case.clips]}
        folder.write(f"data/{case.slug}.js", script("receive", [case.slug, player]))
        shown.append(case)
    view = index_view(findings, shown, empty, siblings)
    for number, case in enumerate(shown):
        around = (
            shown[number - 1] if number else None,
            shown[number + 1] if number + 1 < len(shown) else None,
        )
        one = case_view(findings, view["columns"], case, around)
        folder.write(f"cases/{case.slug}.html", filled("case.html.j2", autoescape=True, view=one))
    folder.write("data/index.js", script("index", player_index(findings, shown, view["lines"])))
    folder.write(INDEX, filled("index.html.j2", autoescape=True, view=view))
    folder.finish()


def _assets(folder: PageFolder) -> None:
    for file in sorted(STATIC.iterdir()):
        folder.write(f"assets/{file.name}", file.read_bytes())
