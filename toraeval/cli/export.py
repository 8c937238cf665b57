"""`export`: finished runs as a folder to share, or their values as the YAML of a model card."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.arguments import split
from toraeval.types import UserError, counted

if TYPE_CHECKING:
    from toraeval.store.tables.run import RunResult

HELP = """Take finished runs out of a results folder; nothing is computed.

  python -m toraeval export results out=my_submission              a folder for check-submission and leaderboard
  python -m toraeval export RUN_FOLDER... out=my_submission        chosen runs
  python -m toraeval export RUN_FOLDER... --eval-results           the YAML for a model card (model-index), on stdout
  python -m toraeval export results --eval-results out=values.yaml source=https://example.org/my_results

References (ground_truth, static) are copied, but have no place in a model card. A run that was stopped before its end
is left out and named; one of a part of its suite is copied and named.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("export", argv, {"out": "", "source": ""}, flags=("eval-results",))
    if not words:
        raise UserError(
            "export: give run folders or a results folder, e.g. python -m toraeval export results out=my_submission"
        )
    from toraeval.cli.output import partial_lines
    from toraeval.store.tables.tidy import load_results

    runs = _finished([run for word in words for run in load_results(word).loaded])
    for line in partial_lines(runs):
        print(line, file=sys.stderr)
    out = Path(values["out"]) if values["out"] else None
    if values.get("eval-results"):
        from toraeval.leaderboard.eval_results import model_index, to_yaml
        from toraeval.store.sealed import write_text

        text = to_yaml(model_index(runs, values["source"]))
        if out is None:
            print(text, end="")
        else:
            write_text(out, text)
            print(out)
        return 0
    if out is None:
        raise UserError("export: give the folder of the submission as out=DIR, or --eval-results for YAML")
    from toraeval.leaderboard.export import copy_runs
    from toraeval.store.disk import megabytes

    total = copy_runs(runs, out)
    print(
        f"{out}/: {counted(len(runs), 'run')}, {megabytes(total)}; now: python -m toraeval check-submission {out}"
    )
    return 0


def _finished(found: Sequence[RunResult]) -> list[RunResult]:
    """Return the runs that came to their end; stderr names the others.

    Raises:
        UserError: none did.
    """
    stopped = [run for run in found if not run.record.get("finished", True)]
    for run in stopped:
        print(
            f"left out: {run.run_dir} was stopped before its end; resume it: {run.record['command']}",
            file=sys.stderr,
        )
    if len(stopped) == len(found):
        raise UserError("export: none of these runs is finished; resume them as said above")
    return [run for run in found if run.record.get("finished", True)]
