"""What a reader should see first: who follows best at each length, and who cannot be told apart from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toraeval.report.findings import BEST, NEAR, Findings
from toraeval.report.site.columns import columns, decimals, lines
from toraeval.report.tables import caption
from toraeval.report.texts import latex_text

ARROWS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$"}
"""Marks of the better end in LaTeX."""


@dataclass(frozen=True)
class Bar:
    """One row of a length's chart; places are percent of its width, None where there is no value."""

    label: str
    text: str
    interval: str
    at: float | None
    low: float | None
    high: float | None
    mark: str
    why: str
    reference: bool


@dataclass(frozen=True)
class Standing:
    """Who stands where at one length.

    Attributes:
        frames: the length, 0 for each clip's own.
        cases: scored cases of the row that has most.
        scored: whether any model is.
        floor: the tracker's own error in words, empty where it was not measured.
        floor_at: its place in percent.
        bars: every row, references included.
    """

    frames: int
    cases: int
    scored: bool
    floor: str
    floor_at: float | None
    bars: list[Bar]


def standings(findings: Findings) -> list[Standing]:
    """Return who stands where, by length."""
    marked = findings.marks
    return [_standing(findings, frames, marked) for frames in findings.group.lengths]


def _standing(findings: Findings, frames: int, marked: dict[tuple[str, int], tuple[str, str]]) -> Standing:
    column, unit = findings.group.main_column, findings.main.unit
    table = findings.rows[findings.rows["frames"] == frames]
    floor = findings.floors.get(frames, np.nan) if findings.main.has_floor else np.nan
    numbers = table[[column, f"{column}_low", f"{column}_high"]].to_numpy(dtype=float)
    place = _axis(np.append(numbers.ravel(), floor))
    digits = decimals(table[column])
    bars = []
    for entry, (value, low, high) in zip(findings.group.at(frames), numbers, strict=True):
        mark, why = marked.get((entry.label, frames), ("", ""))
        known = np.isfinite([low, high]).all()
        bars.append(
            Bar(
                entry.label,
                f"{value:.{digits}f}" if np.isfinite(value) else "not scored",
                f"{low:.{digits}f} to {high:.{digits}f}" if known else "",
                place(value),
                place(low),
                place(high),
                mark,
                why,
                entry.is_reference,
            )
        )
    scored = any(bar.at is not None and not bar.reference for bar in bars)
    words = f"{floor:.2g} {unit}".strip() if np.isfinite(floor) else ""
    return Standing(frames, int(table["cases"].max() if len(table) else 0), scored, words, place(floor), bars)


def _axis(numbers: np.ndarray) -> Callable[[float], float | None]:
    """Return what places a number between 2 and 98 percent: on a logarithmic axis where all are positive."""
    finite = numbers[np.isfinite(numbers)]
    logarithmic = bool(len(finite) and (finite > 0).all() and finite.max() > 10 * finite.min())
    scaled = np.log10(finite) if logarithmic else finite
    low, high = (scaled.min(), scaled.max()) if len(scaled) else (0.0, 1.0)

    def place(number: float) -> float | None:
        if not np.isfinite(number):
            return None
        value = np.log10(number) if logarithmic else number
        return round(2 + 96 * float((value - low) / (high - low)), 2) if high > low else 50.0

    return place


def to_latex(findings: Findings) -> str:
    """Return a `tabular` with booktabs rules: best bold, what is not significantly worse underlined."""
    shown = [column for column in columns(findings) if column.headline]
    marked = findings.marks
    heads = ["Model", "Frames", *(_escaped(column.title) for column in shown)]
    body, former = [], None
    for line in lines(findings, [*shown]):
        if former not in (None, line.frames):
            body.append(r"\midrule")
        former = line.frames
        mark = marked.get((line.label, line.frames), ("", ""))[0]
        cells = [_escaped(line.label), str(line.frames or "own")]
        for column, cell in zip(shown, line.cells, strict=True):
            text = _escaped(cell.text) or "--"
            if column.key == findings.group.main_column:
                text = {BEST: rf"\textbf{{{text}}}", NEAR: rf"\underline{{{text}}}"}.get(mark, text)
                text += f" {{\\scriptsize {_escaped(cell.below)}}}" if cell.below else ""
            cells.append(text)
        body.append(" & ".join(cells) + r" \\")
    return "\n".join(
        [
            f"% {_escaped(caption(findings.group))}",
            "% bold: best of its length; underlined: not significantly worse; needs the package booktabs",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    """Return a text in which nothing is a command, with the arrows that say which end is better."""
    mark = text[-1:] if text[-1:] in ARROWS else ""
    return latex_text(text.removesuffix(mark)) + (f" {ARROWS[mark]}" if mark else "")
