"""Text that others wrote (ids, labels, reasons) made harmless in a terminal, in CSV, in Markdown and in LaTeX."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 80
"""Characters of a text that tables show; the files of a run hold all of it."""
NOT_DRAWN = 0x2E80
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(r"([\\`*\[\]|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|https?(?=:)|www(?=\.))")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
}  # fmt: skip


def printable(text: str, longest: int | None = LONGEST) -> str:
    """Return one line without control characters and changes of the writing direction, shortened in its middle.

    Args:
        text: anything.
        longest: characters that are kept at most, None for all.
    """
    line = "".join(_visible(character) for character in " ".join(text.split()))
    if longest is not None and len(line) > longest:
        half = (longest - 1) // 2
        line = f"{line[: longest - 1 - half]}…{line[-half:]}"
    return line


def _visible(character: str) -> str:
    """Return a character, or its code where it would act instead of being seen."""
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character


def figure_text(text: str, longest: int | None = LONGEST) -> str:
    """Return a label that Matplotlib draws as it is: a dollar sign does not begin a formula.

    Characters that its font lacks (from the CJK radicals on, emoji among them) stand as their codes.
    """
    known = "".join(c if ord(c) < NOT_DRAWN else f"U+{ord(c):04X}" for c in printable(text, longest))
    return known.replace("$", r"\$")


def csv_text(text: str) -> str:
    """Return a cell that a spreadsheet shows instead of computing it: a formula gets a quote in front."""
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def from_csv(text: str) -> str:
    """Return the text that `csv_text` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith((*_FORMULA, "'")) else text


def markdown_text(text: str, longest: int | None = LONGEST) -> str:
    """Return a cell of a Markdown table: no HTML, no link, no further column; shortened as in `printable`."""
    safe = printable(text, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(lambda found: _escaped(found[0]), safe)


def markdown_sentence(text: str) -> str:
    """Return a sentence of ours with names of others in it: no HTML, no link, one line."""
    safe = printable(text, 2000).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("](", "]\\(")


def _escaped(mark: str) -> str:
    return f"{mark}&#8203;" if mark[0] in "hw" else f"\\{mark}"


def latex_text(text: str) -> str:
    """Return a cell of a LaTeX table: no command, and nothing that pdfLaTeX does not know."""
    known = "".join(_LATEX.get(character, character) for character in printable(text))
    return "".join(character if ord(character) < 0x180 else _latex_of(character) for character in known)


def _latex_of(character: str) -> str:
    return {"…": r"\ldots{}", "–": "--", "—": "---", "’": "'"}.get(
        character, rf"\texttt{{U+{ord(character):04X}}}"
    )
