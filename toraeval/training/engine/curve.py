"""The loss curve of a training run, drawn from its log."""

from __future__ import annotations

from pathlib import Path

from toraeval.training.engine.log import read_rows


def draw(log: Path, target: Path) -> None:
    """Draw loss against clips seen, stages marked, as PNG.

    Args:
        log: `log.csv` of a run.
        target: PNG to write.
    """
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
