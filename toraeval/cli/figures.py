"""`figures`: the tables and figures of the paper from the CSV files of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.arguments import split
from toraeval.types import UserError, counted

if TYPE_CHECKING:
    from toraeval.report.collect import Group

HELP = """Draw the tables and figures of the paper from stored CSV files; nothing is generated, tracked or scored.

  python -m toraeval figures                       from results/ into results/paper/
  python -m toraeval figures results=DIR out=DIR

Equal CSV files give equal bytes. Table 1 as CSV, Markdown and LaTeX with published figures apart; error over time;
error by path family and by speed; resolutions; ablations; calibration of the trackers; strips where clips are stored.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("figures", argv, {"results": "results", "out": ""})
    if words:
        raise UserError(f"figures: '{words[0]}' is not an option; write results=DIR or out=DIR")
    from toraeval.report.paper.build import BENCH, build
    from toraeval.report.paper.stored import into
    from toraeval.store import lock

    results = Path(values["results"])
    if not results.is_dir():
        raise UserError(
            f"figures: no folder {results}; give one with results=DIR, or run: {into(results, BENCH)}"
        )
    folder = Path(values["out"] or results / "paper")
    folder.mkdir(parents=True, exist_ok=True)
    with lock.hold(folder, None, print):
        written, missing = build(results, folder, _groups(results))
        calibrated = _calibration(results, folder)
    if not calibrated:
        missing.append(f"trackers.csv is not in {results}: {into(results, ['calibrate'])}")
    for path in [*written, *calibrated]:
        if path.suffix != ".webp":
            print(path)
    strips = sum(path.suffix == ".webp" for path in written)
    if strips:
        print(f"{folder / 'strips'}/ ({counted(strips, 'strip')})")
    for line in missing:
        print(f"not drawn: {line}")
    if not written and not calibrated:
        raise UserError(f"figures: no CSV file of a bench in {results}; run: {into(results, BENCH)}")
    return 0


def _groups(results: Path) -> list[Group]:
    """Return the runs of the last bench, none where only its tables are there."""
    from toraeval.report.collect import collect
    from toraeval.run import bench

    if not (results / bench.RECORD).is_file():
        return []
    folders, samples = bench.recorded(results)
    return collect(folders, samples) if all(folder.is_dir() for folder in folders) else []


def _calibration(results: Path, folder: Path) -> list[Path]:
    """Draw how far the trackers err on clips whose tracks are known."""
    from toraeval.report.paper.stored import read
    from toraeval.run import calibration

    drawn = []
    for name in ("trackers", "trackers_photos"):
        rows = read(
            results / f"{name}.csv",
            ("tracker", "group", "value", "floor", "aj"),
            ("calibrate",),
        )
        if rows is not None and len(rows):
            calibration.draw(rows.astype({"value": str}), folder / f"{name}.png")
            drawn.append(folder / f"{name}.png")
    return drawn
