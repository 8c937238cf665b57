"""Turn finished runs into the files that people read."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from toraeval.report import claims, claims_page, figures, measures, pictures, sheets, tables
from toraeval.report.by_case import BY_CASE, by_case
from toraeval.report.claims_figure import draw_claims
from toraeval.report.collect import Group, collect
from toraeval.report.findings import ERROR_OVER_TIME, Findings
from toraeval.report.reasons import reasons
from toraeval.report.resolutions import draw_resolutions, of_sizes, resolutions
from toraeval.report.site import write as site
from toraeval.report.speed import SPEED, write_speed
from toraeval.stats import BOOTSTRAP_SEED, LEVEL, MIN_CASES, RESAMPLES
from toraeval.store.sealed import require_no_link, sweep, write_text
from toraeval.store.tables.run import RunResult


def build(
    run_dirs: Iterable[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    only: Collection[str] | None = None,
    sheets_per_length: int | None = 3,
    page: str | os.PathLike[str] | None = None,
    also: Sequence[Findings] = (),
    empty: Sequence[RunResult] = (),
) -> list[Path]:
    """Redraw every table and figure, and the page that people open, from run folders; equal runs give equal bytes.

    Runs of one suite, tracker and size land in `out_dir` itself; when there are several such groups, each
    gets a folder of its own, because their numbers must not stand in one table.

    Args:
        run_dirs: finished run folders, in any order.
        out_dir: folder for the files; made when missing.
        only: sample ids to which every run is restricted, or None for all.
        sheets_per_length: contact sheets per length, from the worst case to the best; None for one per case.
        page: folder of the page, or None for none.
        also: other groups that the page shows after these.
        empty: runs without a sample, which the page names.

    Returns:
        The written files; of the page its first file, which comes last.

    Raises:
        UserError: there is nothing to report, or rows cannot be compared.
    """
    groups = collect(run_dirs, only)
    root = Path(out_dir)
    for group in groups:
        folder = root if len(groups) == 1 else root / group.name
        for place in (folder, folder / "samples"):
            require_no_link(root, place)
            sweep(place)
    written: list[Path] = []
    found = [Findings.of(group) for group in groups]
    for one in found:
        folder = root if len(groups) == 1 else root / one.group.name
        written += _write(one, folder, sheets_per_length)
    written += _write_resolutions(groups, root)
    if page is not None:
        written.append(site.write([*found, *also], Path(page), empty))
    return written


def _write_resolutions(groups: list[Group], root: Path) -> list[Path]:
    """Write `resolutions.csv` and `.png` where groups differ in nothing but their size."""
    if not of_sizes(groups) or (rows := resolutions(groups)).empty:
        return []
    write_text(root / "resolutions.csv", tables.to_csv(rows))
    draw_resolutions(rows, root / "resolutions.png")
    return [root / "resolutions.csv", root / "resolutions.png"]


def _write(found: Findings, folder: Path, sheets_per_length: int | None) -> list[Path]:
    group, rows, curves = found.group, found.rows, found.curves
    texts = {
        "table1.csv": tables.to_csv(rows),
        "table1.md": tables.to_markdown(rows, group, found.further, found.said),
        "metrics.csv": tables.to_csv(found.further),
        "ratios.csv": tables.to_csv(found.ratios),
        "table1.definition.json": _definition(group),
        "error_over_time.csv": tables.to_csv(curves),
        "by_case.csv": tables.to_csv(by_case(group, measures.main_measure(group).direction)),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    written = [folder / name for name in texts]
    if len(curves):
        figure = folder / "error_over_time.png"
        figures.draw_error_over_time(curves, group, found.floors, figure)
        written.append(figure)
    written += _write_claims(group, folder)
    written += write_speed(group, folder)
    drawn = sheets.write_sheets(group, folder / "samples", sheets_per_length)
    written += [sheet.path for sheet in drawn]
    # a ranking that changed names other cases; the sheets of the old one would look like results
    pictures.drop_former(folder / "samples", (sheet.path for sheet in drawn))
    return written


def _write_claims(group: Group, folder: Path) -> list[Path]:
    """Write `claims.csv`, `claims.md` and `claims.png`; nothing stays of them where Tora has no rival."""
    rows = reasons(group)
    written, figure = claims_page.write(rows, group, folder), folder / "claims.png"
    if not written:
        figure.unlink(missing_ok=True)
        return []
    draw_claims(rows, f"Tora and its rivals: {group.suite}, {group.size}, tracker {group.tracker}", figure)
    return [*written, figure]


def _definition(group: Group) -> str:
    """Return the JSON that stands beside the table: columns, metrics, interval."""
    content = {
        "columns": tables.columns_of(group),
        "metrics.csv": measures.VALUES,
        "ratios.csv": claims.RATIOS,
        "metrics": group.definitions,
        "interval": {
            "method": "BCa bootstrap over cases; seeds of a case are averaged first",
            "level": LEVEL,
            "resamples": RESAMPLES,
            "seed": BOOTSTRAP_SEED,
            "fewest_cases": MIN_CASES,
        },
        "error_over_time": ERROR_OVER_TIME,
        "by_case.csv": BY_CASE,
        "speed.csv": SPEED,
        "comparable": "rows of one length have one fingerprint; other fingerprints never enter this table",
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
