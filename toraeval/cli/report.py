"""`report`: redraw tables, figures and the page with the videos from stored runs; nothing is computed."""

from __future__ import annotations

import sys
from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Redraw tables, figures and the page with the videos from stored runs; nothing is computed.

  python -m toraeval report                                  what results/ holds: the last bench, sweeps, single runs
  python -m toraeval report results=DIR                      what another folder holds
  python -m toraeval report RUN_FOLDER... out=DIR            chosen runs (results/runs/<suite>/<model>/<key>)

The page is a folder, results/report/ or DIR: open its index.html, or zip it, or put it on any web server.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("report", argv, {"results": "results", "out": ""})
    from toraeval.cli.bench import draw
    from toraeval.run import bench

    results = Path(values["results"])
    out = Path(values["out"] or results / "report")
    if words:
        draw([Path(word) for word in words], out, None, page=out)
        return 0
    benched: list[Path] = []
    if (results / bench.RECORD).is_file():
        benched, samples = bench.recorded(results)
    others(results, out, benched)
    if benched:  # last, so that it can link to the others
        draw(benched, Path(values["out"] or results), samples, page=out)
    return 0


def others(results: Path, out: Path, benched: list[Path]) -> None:
    """Write the page of every other run of a results folder: into `out`, or `out`/other-runs beside a bench.

    Raises:
        UserError: there is neither a bench nor a run.
    """
    from toraeval.report.findings import Findings
    from toraeval.report.site.found import runs_below, sorted_out
    from toraeval.report.site.write import OTHERS, write
    from toraeval.store import lock, record

    known = {folder.resolve() for folder in benched}
    runs, problems = runs_below(results)
    runs = [run for run in runs if run.run_dir.resolve() not in known]
    for line in problems:
        print(line, file=sys.stderr)
    if not runs and not benched:
        raise UserError(
            f"{results}: no finished bench and no run here; run: "
            + record.command_line(["bench", f"results={results}"])
        )
    if not runs:
        return
    groups, empty = sorted_out(runs)
    folder = out / OTHERS if benched else out
    folder.mkdir(parents=True, exist_ok=True)
    with lock.hold(folder, None, lambda line: print(line, file=sys.stderr)):
        print(
            "report:",
            write([Findings(group) for group in groups], folder, empty, "../index.html" if benched else ""),
        )
