"""`leaderboard`: runs of several people, ranked where they measured the same thing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.arguments import split
from toraeval.types import UserError, counted

if TYPE_CHECKING:
    import pandas as pd

HELP = """Merge the runs of several submissions and rank those that measured the same thing on the same cases.

  python -m toraeval leaderboard submissions/ann submissions/bob
  python -m toraeval leaderboard submissions/* out=board         writes board/leaderboard.csv and .md

Every run is checked as by check-submission; one with problems is left out and named (exit code 1). See
docs/leaderboard.md.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("leaderboard", argv, {"out": "leaderboard"})
    if not words:
        raise UserError("leaderboard: give the folders of submissions, e.g. leaderboard submissions/*")
    from toraeval.leaderboard import ranking
    from toraeval.leaderboard.submission import check
    from toraeval.report.texts import printable
    from toraeval.store.sealed import write_text

    folders = [Path(word) for word in dict.fromkeys(words)]
    names = ranking.named(folders)
    left_out: dict[str, str] = {}
    submitted = []
    for folder in folders:
        runs, stray = check(folder)
        for line in stray:
            print(f"note: {printable(f'{names[folder]}: {line}', None)}", file=sys.stderr)
        for one in runs:
            if one.problems or one.run is None:
                left_out[f"{names[folder]}/{one.folder.relative_to(folder)}"] = one.problems[0]
            else:
                submitted.append(ranking.SubmittedRun(names[folder], one.run))
    for where, why in left_out.items():
        print(f"left out: {printable(where, None)}: {printable(why, None)}", file=sys.stderr)
    if not submitted:
        raise UserError("leaderboard: no run without problems; check each folder with check-submission")
    out = Path(values["out"])
    rows = ranking.table(ranking.boards(submitted), out.resolve())
    write_text(out / "leaderboard.csv", ranking.to_csv(rows))
    write_text(out / "leaderboard.md", ranking.to_markdown(rows, left_out))
    _print(rows)
    print(f"{out}/: leaderboard.csv, leaderboard.md")
    return int(bool(left_out))


def _print(rows: pd.DataFrame) -> None:
    import pandas as pd

    from toraeval.cli.terminal import fitted
    from toraeval.store.tables.run import length_words

    for _, board in rows.groupby("board", sort=False):
        first = board.iloc[0]
        told = (
            first["suite"],
            length_words(first["frames"]),
            first["size"],
            first["tracker"],
            counted(first["cases"], "case"),
        )
        print(f"{', '.join(told)}:")
        cells = [
            [
                ""
                if pd.isna(row["rank"])
                else f"{int(row['rank'])}{' *' if row['as_good_as_best'] == 'yes' else ''}",
                row["model"],
                row["submission"],
                f"{row['value']:.4g}",
                "" if pd.isna(row["p_to_best"]) else f"{row['p_to_best']:.3g}",
                row["record"],
            ]
            for row in board.to_dict("records")
        ]
        heads = ["rank", "model", "submission", str(first["metric"]), "p to best", "record"]
        print(fitted(heads, cells, kept=4)[0] + "\n")
