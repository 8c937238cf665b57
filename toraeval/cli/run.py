"""`run`: one model on one suite at one length."""

from __future__ import annotations

from typing import Any

from toraeval.cli.app import launch

HELP = """Generate, track and score one model at one length.

  python -m toraeval run                                     Tora nano, 16 frames, suite shapes
  python -m toraeval run model=tora frames=128
  python -m toraeval run preset=smoke                        the whole path in seconds
  python -m toraeval run -m model=static,tora frames=16,64   every combination
  python -m toraeval run frames=64 limit=4 dry_run=true      what would be done, and what is missing
  python -m toraeval run 'stages=[generate]' keep=lossless 'seeds=[0,1]' 'samples=[00_line_1obj]'
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    return launch("run", HELP, argv, execute)


def execute(config: dict[str, Any], command: str) -> int:
    """Plan, run, print."""
    from toraeval.plan import plan_run

    return carry_out(plan_run(config), command)


def carry_out(plan: Any, command: str) -> int:
    """Run a plan with a progress bar and print what came out; with `dry_run`, print what would be done."""
    from toraeval import pipeline
    from toraeval.cli.output import print_report
    from toraeval.cli.progress import Bar

    if plan.config["dry_run"]:
        from toraeval.cli.dry_run import print_plan

        return print_plan(plan, command)
    with Bar() as bar:
        report = pipeline.run(plan, bar, command)
    print_report(report, command)
    return report.exit_code
