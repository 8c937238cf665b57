"""Tables that fit the terminal: the first columns are kept, the others are named below."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from toraeval.report.texts import printable

ELSEWHERE = 120
"""Characters of a line where stdout is a file or a pipe and COLUMNS is not set."""
FEWEST = 40
FEWEST_KEPT = 2


def width() -> int:
    """Return how many characters a line on stdout holds."""
    fallback = ELSEWHERE
    if sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        fallback = os.get_terminal_size(sys.stdout.fileno()).columns or ELSEWHERE
        return max(FEWEST, fallback)
    return max(
        FEWEST, shutil.get_terminal_size((fallback, 24)).columns if "COLUMNS" in os.environ else fallback
    )


def fitted(
    headers: Sequence[str],
    cells: Iterable[Sequence[str]],
    columns: int | None = None,
    kept: int = FEWEST_KEPT,
) -> tuple[str, list[str]]:
    """Return a table that is no wider than the terminal, and the headers of the columns that had no room.

    Args:
        headers: most important first.
        cells: rows of text.
        columns: width in characters, by default that of the terminal.
        kept: columns that are never left out; the first of them is shortened where even they are too wide.
    """
    room = columns or width()
    rows = [[printable(cell, None) for cell in row] for row in cells]
    # tabulate sets headers two wider than they are; three are `| ` and ` `
    sizes = [max([len(head) + 2, *(len(row[i]) for row in rows)]) + 3 for i, head in enumerate(headers)]
    shown, used = [], 1
    for i, size in enumerate(sizes):
        if i < kept or used + size <= room:
            shown.append(i)
            used += size
    if used > room and shown:
        longest = max(8, sizes[0] - 3 - (used - room))
        rows = [[printable(row[0], longest), *row[1:]] for row in rows]
    table = tabulate(
        [[row[i] for i in shown] for row in rows],
        headers=[headers[i] for i in shown],
        tablefmt="github",
        disable_numparse=True,
    )
    return table, [head for i, head in enumerate(headers) if i not in shown]


def wrapped(headers: Sequence[str], cells: Iterable[Sequence[str]], columns: int | None = None) -> str:
    """Return a table whose last column, which holds sentences, is broken into lines so that it fits."""
    rows = [[printable(cell, None) for cell in row] for row in cells]
    before = sum(max([len(head), *(len(row[i]) for row in rows)]) + 3 for i, head in enumerate(headers[:-1]))
    room = max(24, (columns or width()) - before - 4)
    return tabulate(
        rows,
        headers=list(headers),
        tablefmt="github",
        disable_numparse=True,
        maxcolwidths=[None] * (len(headers) - 1) + [room],
    )
