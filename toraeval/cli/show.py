"""`show`: the table, the cases or the record of one stored run."""

from __future__ import annotations

import json

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Print a stored run.

  python -m toraeval show results/runs/<suite>/<model>/<key>            its table and its cases
  python -m toraeval show results/runs/<suite>/<model>/<key> --record   its reproducibility record
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("show", argv, {}, flags=("record",))
    if len(words) != 1:
        raise UserError(
            "show: give one run folder, e.g. python -m toraeval show results/runs/<suite>/<model>/<key>"
        )
    from tabulate import tabulate

    from toraeval.cli.output import print_table
    from toraeval.report.collect import collect
    from toraeval.report.tables import table
    from toraeval.store.tables.run import load_run

    run = load_run(words[0])
    if values.get("record"):
        print(json.dumps(run.record, indent=1, ensure_ascii=False))
        return 0
    for group in collect([run.run_dir]):
        print_table(table(group))
    columns = ["sample", "status", run.main_column, "static_error", "tracker_floor", "seconds", "error"]
    shown = run.cases[[name for name in columns if name in run.cases]]
    print()
    print(tabulate(shown.values.tolist(), headers=list(shown.columns), tablefmt="github", floatfmt=".3g"))
    print(f"command: {run.record.get('command', 'unknown')}")
    return 0
