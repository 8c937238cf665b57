"""The log of a training run: one CSV row per step, and TensorBoard when it is asked for."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from toraeval.optional import require
from toraeval.store.sealed import write_text

COLUMNS = ("step", "stage", "loss", "grad_norm", "lr", "clips", "size", "seconds")


class Log:
    """Appends rows to `log.csv`; rows of steps that a resumed run makes again are removed first.

    Args:
        folder: holds the log.
        step: steps that were made before; rows from there on are dropped.
        tensorboard: also write events under `tensorboard/`.

    Raises:
        MissingDependency: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool) -> None:
        self.path = folder / "log.csv"
        kept = [row for row in rows(self.path) if int(row["step"]) <= step]
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in kept)]
        write_text(self.path, "\n".join(lines) + "\n")
        self._writer: Any = None
        if tensorboard:
            require("tensorboard", "train: tensorboard=true", "train")
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row; `row` has the keys of `COLUMNS`."""
        with self.path.open("a", newline="") as handle:
            csv.DictWriter(handle, COLUMNS).writerow(row)
        if self._writer is not None:
            for name in ("loss", "grad_norm", "lr"):
                self._writer.add_scalar(f"{row['stage']}/{name}", row[name], row["step"])

    def close(self) -> None:
        """Write out what is buffered."""
        if self._writer is not None:
            self._writer.close()


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a log; a row that a kill cut short is left out."""
    if not path.exists():
        return []
    with path.open(newline="") as handle:
        return [row for row in csv.DictReader(handle) if all(row.get(name) for name in COLUMNS)]
