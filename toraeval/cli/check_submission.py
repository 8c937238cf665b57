"""`check-submission`: whether the runs of a folder may be ranked beside those of others."""

from __future__ import annotations

from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError, counted

HELP = """Check a folder of runs before it is shared; nothing is generated or tracked.

  python -m toraeval check-submission DIR        schema, hashes, completeness, no paths of a machine, no code

Exit code 0: every run may be ranked; 1: what has to be mended is listed. `python -m toraeval export results out=DIR`
makes such a folder of finished runs. See docs/leaderboard.md.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, _ = split("check-submission", argv, {})
    if len(words) != 1:
        raise UserError(
            "check-submission: give one folder, e.g. python -m toraeval check-submission my_submission"
        )
    from toraeval.leaderboard.submission import check
    from toraeval.report.texts import printable

    folder = Path(words[0])
    runs, stray = check(folder)
    for line in stray:
        print(f"problem: {printable(line, None)}")
    for run in runs:
        where = run.folder.relative_to(folder)
        what = "" if run.run is None else f" ({counted(len(run.run.cases), 'sample')})"
        print(f"{'problem' if run.problems else 'ok'}: {printable(str(where), None)}{what}")
        for line in run.problems:
            print(f"  problem: {printable(line, None)}")
        for line in run.notes:
            print(f"  note: {printable(line, None)}")
    bad = sum(bool(run.problems) for run in runs)
    if bad or stray:
        print(f"problems in {bad} of {counted(len(runs), 'run')} and {counted(len(stray), 'other file')}")
        return 1
    samples = sum(len(run.run.cases) for run in runs if run.run)
    print(f"{counted(len(runs), 'run')}, {counted(samples, 'sample')}: nothing to mend")
    return 0
