"""`run`: one model on one suite at one length."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toraeval.cli.jobs import Done

if TYPE_CHECKING:
    import pandas as pd

    from toraeval.run.ending import Report
    from toraeval.run.parts import Builder
    from toraeval.run.plan import Plan

HELP = """Generate, track and score one model at one length.

  python -m toraeval run                                     Tora nano, 16 frames, suite shapes
  python -m toraeval run model=tora frames=128
  python -m toraeval run preset=smoke                        the whole path in seconds
  python -m toraeval run -m model=static,tora frames=16,64   every combination
  python -m toraeval run frames=64 limit=4 dry_run=true      what would be done, and what is missing
  python -m toraeval run 'stages=[generate]' keep=lossless 'seeds=[0,1]' 'samples=[00_line_1obj]'
"""


def execute(config: dict[str, Any], command: str) -> Done:
    """Plan, run, print."""
    from toraeval.run.plan import plan_run

    return carry_out(plan_run, config, command)


def carry_out(
    make_plan: Callable[[dict[str, Any], Builder], Plan],
    config: dict[str, Any],
    command: str,
) -> Done:
    """Make a plan and run it with a progress bar, then print what came out; with `dry_run`, what would be done.

    Raises:
        MissingParts: anything that the parts need is absent; nothing was started.
    """
    from toraeval.cli.output import joint_rows, metrics_without_value, print_report
    from toraeval.cli.progress import ProgressBar
    from toraeval.run import pipeline, requirements

    plan = make_plan(config, requirements.require(config))
    for note in plan.notes:
        print(f"note: {note}")
    if config["dry_run"]:
        from toraeval.cli.dry_run import print_plan

        return Done(print_plan(plan, command))
    with ProgressBar() as bar:
        report = pipeline.run(plan, bar, command)
    rows, further, page = tables_and_page(report, config["results"])
    print_report(report, rows, further, command, page)
    nothing_scored = bool(
        (rows["cases"].eq(0) & rows["failures"].gt(0)).all()
    )  # the failures have been named
    without = {} if nothing_scored else metrics_without_value(further, plan.metrics)
    for name, reason in without.items():
        print(f"metric {name} has no value: {reason}", file=sys.stderr)
    named = any(word.startswith(("metric=", "metrics.", "+metrics.")) for word in shlex.split(command))
    return Done(
        report.exit_code or int(named and bool(without)), joint_rows(rows, further).to_dict("records")
    )


def tables_and_page(report: Report, results: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the rows of a run as in `table1.csv` and `metrics.csv`, and the first file of its page, "" without one.

    The page shows the run beside what the ground truth gives, and is made of the same tables. One that cannot be
    written takes nothing from what the run has stored; stderr says why.

    Raises:
        UserError: no sample of the run has a row.
    """
    from pathlib import Path

    from toraeval.report.collect import sorted_out
    from toraeval.report.findings import Findings
    from toraeval.report.site.write import write
    from toraeval.report.texts import slug
    from toraeval.store import lock
    from toraeval.types import UserError

    result, page = report.result, ""
    groups, empty = sorted_out([result, *([report.floor.result] if report.floor else [])])
    found = [Findings.of(group) for group in groups]
    own = [(one, entry.label) for one in found for entry in one.group.entries if entry.run is result]
    if not own:
        raise UserError(f"report: {result.run_dir} has no sample to report; finish the run first")
    folder = Path(results) / "reports" / slug(f"{result.suite}-{result.model}-{result.run_dir.name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock.hold(folder, None, lambda line: print(line, file=sys.stderr)):
            page = str(write(found, folder, empty))
    except (UserError, OSError) as error:
        print(f"the report was not written: {error}", file=sys.stderr)
    ((findings, label),) = own
    rows, further = (table[table["model"] == label] for table in (findings.rows, findings.further))
    return rows, further[further["metric"].isin(list(result.definitions))], page
