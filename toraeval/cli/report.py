"""`report`: redraw tables, figures and the page with the videos from stored runs; nothing is computed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.arguments import split
from toraeval.types import UserError

if TYPE_CHECKING:
    from toraeval.report.findings import Findings
    from toraeval.store.tables.run import RunResult

HELP = """Redraw tables, figures and the page with the videos from stored runs; nothing is computed.

  python -m toraeval report                                  what results/ holds: the last bench, sweeps, single runs
  python -m toraeval report results=DIR                      what another folder holds
  python -m toraeval report RUN_FOLDER... out=DIR            chosen runs (results/runs/<suite>/<model>/<key>)

The page is a folder, results/report/ or DIR: open its index.html, or zip it, or put it on any web server. Where the
runs are of several suites, its first page shows all models on all of them and leads to a page for each suite.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("report", argv, {"results": "results", "out": ""})
    from toraeval.cli.bench import draw
    from toraeval.run import bench
    from toraeval.store import record

    results = Path(values["results"])
    out = Path(values["out"] or results / "report")
    if words:
        draw([Path(word) for word in words], out, None, page=out)
        return 0
    benched: list[Path] = []
    samples = None
    if (results / bench.RECORD).is_file():
        benched, samples = bench.recorded(results)
    # as in a fresh clone, which holds the tables of a bench without its runs
    tables_alone = bool(benched) and not any(folder.is_dir() for folder in benched)
    if tables_alone:
        benched = []
    others, empty = found_beside(results, benched)
    if tables_alone:
        print(
            f"{results}: the runs of its last bench are not here and not on the page; run: "
            + record.command_line(["bench", f"results={results}"]),
            file=sys.stderr,
        )
    if benched:
        draw(benched, Path(values["out"] or results), samples, out, others, empty)
    else:
        write_page(out, others, empty)
    return 0


def found_beside(results: Path, benched: list[Path]) -> tuple[list[Findings], list[RunResult]]:
    """Return the groups of all runs of a results folder that a bench has not, and the runs without a sample.

    Raises:
        UserError: there is neither a bench nor a run.
    """
    from toraeval.report.collect import FLOOR_MODEL, runs_below, sorted_out
    from toraeval.report.findings import Findings
    from toraeval.store import record

    known = {folder.resolve() for folder in benched}
    runs, problems = runs_below(results)
    for line in problems:
        print(line, file=sys.stderr)
    if not runs and not benched:
        raise UserError(
            f"{results}: no finished bench and no run here; run: "
            + record.command_line(["bench", f"results={results}"])
        )
    shown = {_setting(run) for run in runs if run.run_dir.resolve() in known}
    others = [run for run in runs if run.run_dir.resolve() not in known]
    # the ground truth of what the bench has is its floor, and stands there
    groups, empty = sorted_out(
        run for run in others if run.model != FLOOR_MODEL or _setting(run) not in shown
    )
    return [Findings.of(group) for group in groups], empty


def _setting(run: RunResult) -> tuple[str, int, int, int, str]:
    return run.suite, run.frames, run.height, run.width, run.tracker


def write_page(folder: Path, found: list[Findings], empty: list[RunResult]) -> None:
    """Write the page of some groups of runs and print where it is; one process at a time in a folder."""
    from toraeval.report.collect import former_pages
    from toraeval.report.site.write import write
    from toraeval.store import lock
    from toraeval.store.disk import require_writable

    require_writable(folder, "out")
    with lock.hold(folder, None, lambda line: print(line, file=sys.stderr)):
        print("report:", write(found, folder, empty))
    for note in former_pages(folder):
        print(note, file=sys.stderr)
