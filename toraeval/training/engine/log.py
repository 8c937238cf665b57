"""CSV tables of training: whole ones, and the log of a run that grows row by row; TensorBoard; the curve of a log."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toraeval.optional import require
from toraeval.store.sealed import write_text

Row = Mapping[str, object]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, none if it is not there; a last row that a kill cut short is left out."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if None not in row.values()]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table of at least one row; its folder is made."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


class Log:
    """Appends rows to `log.csv` and `validation.csv`; rows of steps that a resumed run makes again are removed first.

    Before were made the first `step` steps; `report` gets every row of the log.

    Raises:
        MissingDependency: TensorBoard is wanted and not installed.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        tensorboard: bool = False,
        report: Callable[[dict[str, Any]], None] = lambda row: None,
    ) -> None:
        self.folder, self._report = folder, report
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder / "log.csv", folder / "validation.csv"):
            kept = [row for row in read_rows(path) if int(row["step"]) <= step]
            if kept:
                write_rows(path, kept)
            else:
                path.unlink(missing_ok=True)
        self._writer: Any = None
        if tensorboard:
            require("tensorboard", "train: tensorboard=true", "train")
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row to the log."""
        _append(self.folder / "log.csv", row)
        self._report(row)
        if self._writer is not None:
            for name in ("loss", "grad_norm", "lr"):
                if name in row:
                    place = f"{row['stage']}/{name}" if "stage" in row else name
                    self._writer.add_scalar(place, float(row[name]), row["step"])

    def validation(self, row: Row) -> None:
        """Append one row to the table of measurements on held-out clips."""
        _append(self.folder / "validation.csv", row)

    def close(self) -> None:
        """Write out what is buffered."""
        if self._writer is not None:
            self._writer.close()


def _append(path: Path, row: Row) -> None:
    new = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def draw_curve(log: Path, target: Path) -> None:
    """Draw the loss of a `log.csv` against clips seen, stages marked, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_rows(log)
    clips = [int(r["clips"]) for r in rows]
    losses = [float(r["loss"]) for r in rows]
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(clips, losses, color="#1f77b4", linewidth=1.2)
    axes.set_yscale("log")
    axes.set_xlabel("clips seen")
    axes.set_ylabel("training loss (mean of 20 steps)")
    previous = None
    for row, position in zip(rows, clips, strict=True):
        kind = row["motion"]
        if kind != previous:
            axes.axvline(position, color="0.6", linewidth=0.8, linestyle="--")
            axes.annotate(
                kind, (position, max(losses)), xytext=(3, -8), textcoords="offset points", fontsize=9
            )
            previous = kind
    axes.grid(True, which="both", alpha=0.3)
    figure.savefig(target, dpi=110, metadata={"Software": None})
