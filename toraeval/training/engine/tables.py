"""CSV tables that runs write: whole, or row by row as training goes on."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from toraeval.store.sealed import write_text

Row = Mapping[str, object]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table; none if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table of at least one row; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def append_row(path: Path, row: Row) -> None:
    """Add a row at the end of a table, which is begun if it is not there."""
    new = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def drop_rows_after(path: Path, step: int) -> None:
    """Take out the rows of steps that a killed run made after its state was saved and that will be made again."""
    rows = read_rows(path)
    kept = [row for row in rows if int(row["step"]) <= step]
    if not kept:
        path.unlink(missing_ok=True)
    elif len(kept) < len(rows):
        write_rows(path, kept)
