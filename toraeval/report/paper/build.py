"""Write every table and figure of the paper for which a results folder holds the CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from toraeval.report import ablations, figures, sheets
from toraeval.report.by_case import BY_CASE
from toraeval.report.collect import Group
from toraeval.report.findings import ERROR_OVER_TIME
from toraeval.report.paper import by_kind, table1
from toraeval.report.paper.published import published
from toraeval.report.paper.stored import in_order, into, read
from toraeval.report.resolutions import RESOLUTIONS, draw_resolutions
from toraeval.report.tables import to_csv
from toraeval.report.texts import csv_text
from toraeval.store.sealed import require_no_link, sweep, write_text
from toraeval.store.tables.run import size_words
from toraeval.types import UserError

DRAWN = (
    "ablation", "variant", "traj_error", "traj_error_low", "traj_error_high", "ratio_to_static", "cases", "steps",
    "frames",
)  # fmt: skip
"""Columns of `ablations.csv` that its figure needs."""
REPORT = ("report",)
BENCH = ("bench",)
RESOLUTIONS_BENCH = (*BENCH, "preset=resolutions")
ABLATIONS_BENCH = (*BENCH, "preset=ablations")
"""What writes each table; the results folder is added."""


@dataclass(frozen=True)
class Setting:
    """What `figures.draw_error_over_time` writes into the title and orders the models by."""

    suite: str
    size: str
    tracker: str
    labels: list[str]


def build(results: Path, folder: Path, groups: Sequence[Group] = ()) -> tuple[list[Path], list[str]]:
    """Write tables and figures; equal CSV files give equal bytes.

    Args:
        results: folder of the CSV files.
        folder: where tables and figures go.
        groups: stored runs, for the strips; none where only the CSV files are there.

    Returns:
        (the written files, a line for everything that could not be drawn and the command that brings it).
    """
    require_no_link(folder.parent, folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    written: list[Path] = []
    missing: list[str] = []
    for name, command, draw in (
        ("table1.csv", BENCH, _table1),
        ("error_over_time.csv", BENCH, _error_over_time),
        ("by_case.csv", REPORT, _by_kind),
        ("resolutions.csv", RESOLUTIONS_BENCH, _resolutions),
        ("ablations.csv", ABLATIONS_BENCH, _ablations),
    ):
        try:
            found = draw(results, folder) if (results / name).is_file() else []
        except UserError as error:  # of one table, which must not cost the others
            missing.append(str(error))
            continue
        written += found
        if not found:
            missing.append(f"{name} is not in {results}, or empty: {into(results, command)}")
    if groups:
        written += [
            sheet.path
            for group in groups
            for sheet in sheets.write_sheets(group, folder / "strips" / group.name)
        ]
    else:
        missing.append(f"strips need the clips of a bench in {results}: {into(results, BENCH)}")
    return written, missing


def _rows(results: Path) -> pd.DataFrame | None:
    return read(results / "table1.csv", ("model", "frames", "suite", "height", "width", "tracker"), BENCH)


def _setting(rows: pd.DataFrame) -> Setting:
    first = rows.iloc[0]
    size = size_words(first["width"], first["height"])
    return Setting(str(first["suite"]), size, str(first["tracker"]), in_order(rows["model"]))


def _table1(results: Path, folder: Path) -> list[Path]:
    rows = _rows(results)
    values = read(results / "metrics.csv", table1.NEEDED, BENCH)
    if rows is None or values is None or rows.empty or values.empty:
        return []
    table, stated = table1.paper_table(values, rows), published()
    texts = {
        "table1.csv": table1.to_csv(table),
        "table1.md": table1.to_markdown(table, stated),
        "table1.tex": table1.to_latex(table, stated),
    }
    return _written(folder, texts)


def _error_over_time(results: Path, folder: Path) -> list[Path]:
    rows = _rows(results)
    curves = read(results / "error_over_time.csv", ERROR_OVER_TIME, BENCH)
    if rows is None or curves is None or curves.empty:
        return []
    floors = {int(str(n)): float(part.mean()) for n, part in rows.groupby("frames")["tracker_floor"]}
    path = folder / "error_over_time.png"
    figures.draw_error_over_time(curves, _setting(rows), floors, path)
    return [path]


def _by_kind(results: Path, folder: Path) -> list[Path]:
    cases = read(results / "by_case.csv", BY_CASE, REPORT)
    rows = _rows(results)
    if cases is None or cases.empty or rows is None:
        return []
    setting = _setting(rows)
    where = f"{setting.suite}, {setting.size}, tracker {setting.tracker}"
    label = f"{cases['column'].iloc[0]}, mean over cases"
    paths = []
    families, speeds = by_kind.by_family(cases), by_kind.by_speed(cases)
    for name, found, draw in (
        ("error_by_family", families, by_kind.draw_families),
        ("error_by_speed", speeds, by_kind.draw_speeds),
    ):
        if len(found):
            safe = found.assign(model=found["model"].map(csv_text), of=found["of"].map(csv_text))
            paths += _written(folder, {f"{name}.csv": to_csv(safe)})
            draw(found, f"{name.replace('_', ' ').capitalize()}: {where}", label, folder / f"{name}.png")
            paths.append(folder / f"{name}.png")
    return paths


def _resolutions(results: Path, folder: Path) -> list[Path]:
    rows = read(results / "resolutions.csv", RESOLUTIONS, RESOLUTIONS_BENCH)
    if rows is None or rows.empty:
        return []
    draw_resolutions(rows, folder / "resolutions.png")
    return [folder / "resolutions.png"]


def _ablations(results: Path, folder: Path) -> list[Path]:
    rows = read(results / "ablations.csv", DRAWN, ABLATIONS_BENCH)
    if rows is None or rows.empty:
        return []
    if "seeds" not in rows:  # of a version that trained each variant once
        rows = rows.assign(seeds=1, best_seed=rows["traj_error"], worst_seed=rows["traj_error"])
    ablations.draw(rows, folder / "ablations.png")
    return [folder / "ablations.png"]


def _written(folder: Path, texts: dict[str, str]) -> list[Path]:
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]
