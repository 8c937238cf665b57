"""What a reader should see first: who follows best at each length, and who cannot be told apart from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toraeval.report.collect import ReportedRun
from toraeval.report.findings import Findings
from toraeval.report.site.columns import columns, decimals, lines
from toraeval.report.tables import caption
from toraeval.report.texts import latex_text
from toraeval.stats import LEVEL, case_means, holm, paired_difference
from toraeval.types import counted

LIMIT = round(1 - LEVEL, 6)
BEST, NEAR = "best", "near"
MARKS = {
    BEST: "best mean of its length among the models",
    NEAR: "not significantly worse than the best of its length on the cases that both have",
}

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


def marks(findings: Findings) -> dict[tuple[str, int], tuple[str, str]]:
    """Return (label, frames) -> `BEST` or `NEAR`, and why; other rows are absent."""
    found: dict[tuple[str, int], tuple[str, str]] = {}
    for frames in findings.group.lengths:
        models = [entry for entry in findings.group.at(frames) if not entry.is_reference]
        found |= {(label, frames): mark for label, mark in _marks(findings, models).items()}
    return found


def _marks(findings: Findings, models: list[ReportedRun]) -> dict[str, tuple[str, str]]:
    column, sign = findings.group.main_column, -1 if findings.main.direction == "higher" else 1
    table = findings.rows.set_index(["model", "frames"])[column]
    means = {entry.label: sign * float(table[entry.label, entry.frames]) for entry in models}
    means = {label: value for label, value in means.items() if np.isfinite(value)}
    if len(means) < 2:  # one model alone is not the best of anything
        return {}
    best = min(means, key=lambda label: means[label])
    found = {best: (BEST, MARKS[BEST])}
    if findings.main.of_set:
        return found
    by_label = {entry.label: entry for entry in models}
    mine = by_label[best].by_case(column)
    floor = findings.floors.get(by_label[best].frames, np.nan) if findings.main.has_floor else np.nan
    others = {
        label: paired_difference(by_label[label].by_case(column), mine)
        for label in means
        if label != best and set(case_means(by_label[label].by_case(column))) & set(case_means(mine))
    }
    adjusted = dict(zip(others, holm([other.p for other in others.values()]), strict=True))
    for label, other in others.items():
        cases, p = other.difference.cases, adjusted[label]
        if abs(other.difference.mean) < floor:
            found[label] = (NEAR, f"differs from {best} by less than the tracker's floor")
        elif not p < LIMIT:
            said = f"p = {p:.2g} after Holm's correction" if np.isfinite(p) else "no test"
            power = other.sensitivity.words(findings.main.unit)
            shared = counted(cases, "shared case") + (f"; {power}" if power else "")
            found[label] = (NEAR, f"{MARKS[NEAR]}: {said}, {shared}")
    return found


def standings(findings: Findings) -> list[Standing]:
    """Return who stands where, by length."""
    marked = marks(findings)
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
    marked = marks(findings)
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
