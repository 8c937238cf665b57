"""`bench`: every model and length of a preset, then tables, figures and the page with the videos."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.cli.jobs import Done
from toraeval.types import counted

if TYPE_CHECKING:
    from toraeval.report.findings import Findings
    from toraeval.store.tables.run import RunResult

HELP = """Run every model of a preset at every length, then write tables, figures and the page with the videos.

  python -m toraeval bench
  python -m toraeval bench preset=smoke
  python -m toraeval bench preset=ablations                          trains variants of Tora nano first (hours)
  python -m toraeval bench preset=resolutions                        one model at three sizes x three lengths
  python -m toraeval bench preset=speed                              what faster sampling changes in every metric
  python -m toraeval bench 'models=[static,tora]' 'frames=[16,64]' limit=4
  python -m toraeval bench model_options.tora.steps=20
  python -m toraeval bench 'models=[tora,motionctrl,{name: motionctrl, long_video: direct}]' 'frames=[64]'
  python -m toraeval bench 'models=[ground_truth,static,tora,precomputed]' model_options.precomputed.videos=DIR
"""


def execute(config: dict[str, Any], command: str) -> Done:
    """Plan everything, run it, draw, print."""
    from toraeval.cli import dry_run
    from toraeval.cli.output import done_lines, partial_lines
    from toraeval.cli.progress import ProgressBar
    from toraeval.run import bench
    from toraeval.store.disk import megabytes

    if config["ablations"] is not None:
        return execute_ablations(config, command)
    start = time.perf_counter()
    planned = bench.plan_bench(config)
    for note in dict.fromkeys(note for plan in planned.plans for note in plan.notes):
        print(f"note: {note}")
    if config["dry_run"]:
        for line in planned.left_out:
            print(line)
        return Done(dry_run.print_costs(planned.plans, command))
    results = Path(config["results"])
    with ProgressBar() as bar:
        reports = bench.run(planned, bar, command)
    if "score" in config["stages"]:
        run_dirs = [report.result.run_dir for report in reports]
        draw(run_dirs, results, set(planned.samples), page=results / "report", again=False)
    print(*done_lines(reports), sep="\n")
    for line in (*partial_lines([report.result for report in reports]), *planned.left_out):
        print(line)
    print(f"disk use: {megabytes(sum(report.disk_bytes for report in reports))} in {results / 'runs'}")
    print(f"time: {time.perf_counter() - start:.0f} s")
    print(f"command: {command}")
    return Done(max(report.exit_code for report in reports))


def execute_ablations(config: dict[str, Any], command: str) -> Done:
    """Train and compare the variants of Tora nano; print the table and where it is."""
    from toraeval.cli.output import done_lines
    from toraeval.cli.progress import ProgressBar
    from toraeval.run import ablations

    if config["dry_run"]:
        print(ablations.describe(config))
        return Done(0)
    start = time.perf_counter()
    with ProgressBar() as bar:
        reports, written = ablations.run(config, bar, command, bar.note)
    print(written[1].read_text())
    for path in written:
        print(path)
    print(*done_lines(reports), sep="\n")
    print(f"time: {time.perf_counter() - start:.0f} s")
    print(f"command: {command}")
    return Done(max(report.exit_code for report in reports))


def draw(
    run_dirs: list[Path],
    out_dir: Path,
    samples: set[str] | None,
    page: Path,
    also: Sequence[Findings] = (),
    empty: Sequence[RunResult] = (),
    again: bool = True,
) -> None:
    """Write the tables, figures and page of some runs and print what they are; one process at a time in a folder.

    Args:
        run_dirs, samples: what is shown; None for every sample.
        out_dir, page: where.
        also, empty: what the page shows, too.
        again: whether to draw although nothing has changed since; else `out_dir` is a results folder.
    """
    import pandas as pd

    from toraeval.cli.output import joint_rows, print_table
    from toraeval.report.collect import former_pages
    from toraeval.report.tracker_ranking import under_tables
    from toraeval.report.unchanged import Drawn
    from toraeval.store import lock
    from toraeval.store.disk import require_writable
    from toraeval.store.tables.run import WORDS

    require_writable(out_dir, "out" if again else "results")
    with lock.hold(out_dir, None, lambda line: print(line, file=sys.stderr)):
        drawn = None if again else Drawn(run_dirs, out_dir, samples, page)
        written = drawn.files() if drawn else None
        if written is None:
            from toraeval.report.assemble import build

            written = build(run_dirs, out_dir, only=samples, page=page, also=also, empty=empty)
            if drawn is not None:
                drawn.remember(written)
    for path in written:
        if path.name == "table1.csv":
            rows, values = (
                pd.read_csv(path.with_name(name), dtype=dict.fromkeys(WORDS, str))
                for name in (path.name, "metrics.csv")
            )
            if path.parent != out_dir:
                print(f"\n{path.parent.name}:")
            print_table(joint_rows(rows, values), f"all: {path.with_name('metrics.csv')}")
    several = under_tables(run_dirs[0].resolve().parents[3]) if run_dirs else ""
    if several:
        print(f"\n{several}\n")
    sheets = [path for path in written if path.parent.name == "samples"]
    for path in written[:-1]:
        if path not in sheets:
            print(path)
    if sheets:
        print(f"{sheets[0].parent}/ ({counted(len(sheets), 'contact sheet')})")
    print(f"report: {written[-1]}")
    for note in former_pages(page):
        print(note, file=sys.stderr)
