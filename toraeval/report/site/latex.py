"""The headline columns of the table for a paper."""

from __future__ import annotations

from toraeval.report.findings import Findings
from toraeval.report.site.columns import columns, lines
from toraeval.report.site.headline import BEST, NEAR, marks
from toraeval.report.tables import caption
from toraeval.report.texts import latex_text

ARROWS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$"}


def escaped(text: str) -> str:
    """Return a text in which nothing is a command, with the arrows that say which end is better."""
    mark = text[-1:] if text[-1:] in ARROWS else ""
    return latex_text(text.removesuffix(mark)) + (f" {ARROWS[mark]}" if mark else "")


def to_latex(findings: Findings) -> str:
    """Return a `tabular` with booktabs rules: best bold, what is not significantly worse underlined."""
    shown = [column for column in columns(findings) if column.headline]
    marked = marks(findings)
    heads = ["Model", "Frames", *(escaped(column.title) for column in shown)]
    body, former = [], None
    for line in lines(findings, [*shown]):
        if former not in (None, line.frames):
            body.append(r"\midrule")
        former = line.frames
        mark = marked.get((line.label, line.frames), ("", ""))[0]
        cells = [escaped(line.label), str(line.frames or "own")]
        for column, cell in zip(shown, line.cells, strict=True):
            text = escaped(cell.text) or "--"
            if column.key == findings.group.main_column:
                text = {BEST: rf"\textbf{{{text}}}", NEAR: rf"\underline{{{text}}}"}.get(mark, text)
                text += f" {{\\scriptsize {escaped(cell.below)}}}" if cell.below else ""
            cells.append(text)
        body.append(" & ".join(cells) + r" \\")
    return "\n".join(
        [
            f"% {escaped(caption(findings.group))}",
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
