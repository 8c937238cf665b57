"""`merge`: one results folder of several."""

from __future__ import annotations

import sys
from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError, counted

HELP = """Join results folders of machines that share no disk; the sources stay as they are. Two results of one sample
that differ are refused (exit code 2), and nothing is written.

  python -m toraeval merge a b out=both
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("merge", argv, {"out": ""})
    if (
        "->" in words[:-1] and words.index("->") == len(words) - 2 and not values["out"]
    ):  # quoted, as in 'a b -> c'
        *words, _, values["out"] = words
    if len(words) < 2 or not values["out"]:
        from toraeval.store.record import command_line

        new = f"out={values['out'] or 'both'}"
        known = words if len(words) > 1 else [*words, "ANOTHER"] if words else ["A", "B"]
        raise UserError(
            f"merge: {counted(len(words), 'results folder')} and {'a' if values['out'] else 'no'} new one; allowed: "
            f"two or more, and a new one for all: {command_line(['merge', *known, new])}"
        )
    from toraeval.run.merging import join

    out = Path(values["out"])
    runs = join([Path(word) for word in words], out, lambda line: print(line, file=sys.stderr))
    for run in runs:
        print(run)
    print(
        f"{counted(len(runs), 'run')} of {len(words)} folders in {out}; tables of all: python -m toraeval report "
        f"results={out}"
    )
    return 0
