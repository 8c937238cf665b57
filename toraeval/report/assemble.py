"""Turn finished runs into the files that people read."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from toraeval.report import claims, claims_page, figures, html, measures, pictures, sheets, tables
from toraeval.report.claims_figure import draw_claims
from toraeval.report.collect import Group, collect
from toraeval.report.curves import ERROR_OVER_TIME, error_over_time
from toraeval.report.reasons import reasons
from toraeval.stats import BOOTSTRAP_SEED, LEVEL, MIN_CASES, RESAMPLES
from toraeval.store.sealed import require_no_link, sweep, write_text


def build(
    run_dirs: Iterable[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    only: Collection[str] | None = None,
    sheets_per_length: int | None = 3,
) -> list[Path]:
    """Redraw every table, figure and page from run folders; equal runs give equal bytes.

    Runs of one suite, tracker and size land in `out_dir` itself; when there are several such groups, each
    gets a folder of its own, because their numbers must not stand in one table.

    Args:
        run_dirs: finished run folders, in any order.
        out_dir: folder for the files; made when missing.
        only: sample ids to which every run is restricted, or None for all.
        sheets_per_length: contact sheets per length, from the worst case to the best; None for one per case.

    Returns:
        The written files.

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
    for group in groups:
        written += _write(group, root if len(groups) == 1 else root / group.name, sheets_per_length)
    return written


def _write(group: Group, folder: Path, sheets_per_length: int | None) -> list[Path]:
    rows = tables.table(group)
    curves = error_over_time(group)
    further = measures.table(group)
    ratios = claims.ratios(group)
    said = {
        "Compared with Tora": claims.ratio_lines(ratios),
        "Mind this": [*tables.notes(group, rows), *measures.remarks(further)],
    }
    texts = {
        "table1.csv": tables.to_csv(rows),
        "table1.md": tables.to_markdown(rows, group, further, said),
        "metrics.csv": tables.to_csv(further),
        "ratios.csv": tables.to_csv(ratios),
        "table1.definition.json": _definition(group),
        "error_over_time.csv": tables.to_csv(curves),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    written = [folder / name for name in texts]
    figure = folder / "error_over_time.png" if len(curves) else None
    if figure is not None:
        floors = {frames: float(part.mean()) for frames, part in rows.groupby("frames")["tracker_floor"]}
        figures.draw_error_over_time(curves, group, floors, figure)
        written.append(figure)
    written += _write_claims(group, folder)
    drawn = sheets.write_sheets(group, folder / "samples", sheets_per_length)
    written += [sheet.path for sheet in drawn]
    # a ranking that changed names other cases; the sheets of the old one would look like results
    pictures.drop_former(folder / "samples", (sheet.path for sheet in drawn))
    page = folder / "report.html"
    write_text(page, html.render(group, rows, further, said, figure, drawn))
    return [*written, page]


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
        "metrics": group.definitions(),
        "interval": {
            "method": "BCa bootstrap over cases; seeds of a case are averaged first",
            "level": LEVEL,
            "resamples": RESAMPLES,
            "seed": BOOTSTRAP_SEED,
            "fewest_cases": MIN_CASES,
        },
        "error_over_time": ERROR_OVER_TIME,
        "comparable": "rows of one length have one fingerprint; other fingerprints never enter this table",
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
