"""The CSV files of a results folder as they are read back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from toraeval.report.collect import FLOOR_MODEL, STATIC_MODEL
from toraeval.report.texts import from_csv
from toraeval.store import record
from toraeval.store.tables.run import WORDS
from toraeval.types import UserError

TEXTS = (
    *(name for name in WORDS if name != "error"),
    "family",
    "column",
    "metric",
    "group",
    "direction",
    "unit",
    "skipped",
    "main",
)


def into(results: Path, words: Sequence[str]) -> str:
    """Return the command that writes into a results folder."""
    folder = () if results == Path("results") else (f"results={results}",)
    return record.command_line([*words, *folder])


def read(path: Path, columns: Iterable[str], writes: Sequence[str]) -> pd.DataFrame | None:
    """Return a table, None where there is no such file.

    Args:
        path: the CSV file.
        columns: that it must have.
        writes: words of the command that writes it into its folder, for the message.

    Raises:
        UserError: it is not such a table.
    """
    if not path.is_file():
        return None
    try:
        rows = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str))
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); write it again: {into(path.parent, writes)}"
        ) from error
    absent = [name for name in columns if name not in rows]
    if absent:
        raise UserError(
            f"{path} has no column {', '.join(absent)}; write it again: {into(path.parent, writes)}"
        )
    for name in ("model", "case", "family"):
        if name in rows:
            rows[name] = [from_csv(text) if isinstance(text, str) else "" for text in rows[name]]
    return rows


def model_of(label: str) -> str:
    """Return the model of a label such as `tora [1a2b3c]`."""
    return label.split(" [")[0]


def in_order(labels: Iterable[str]) -> list[str]:
    """Return every label once, the ground truth first and standing still last, as in the tables of a report."""
    rank = {FLOOR_MODEL: 0, STATIC_MODEL: 2}
    return sorted(dict.fromkeys(labels), key=lambda label: (rank.get(model_of(label), 1), label))


def is_reference(label: str) -> bool:
    """Return True if a row brackets the models instead of being one."""
    return model_of(label) in (FLOOR_MODEL, STATIC_MODEL)
