"""Text that others wrote (ids, labels, reasons) made harmless in a terminal, CSV, Markdown, LaTeX and file names."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 80
"""Characters of a text that tables show; the files of a run hold all of it."""
LONGEST_NAME = 50
"""Characters of a file name, besides what tells it from others."""
NOT_DRAWN = 0x2E80
ACTING = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Categories of characters that would act instead of being seen; their codes are shown."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(r"([\\`*\[\]|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|https?(?=:)|www(?=\.))")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "…": r"\ldots{}", "–": "--", "—": "---",
    "’": "'",
}  # fmt: skip


def printable(text: str, longest: int | None = LONGEST) -> str:
    """Return one line without control characters and changes of the writing direction, shortened in its middle.

    Args:
        text: anything.
        longest: characters that are kept at most, None for all.
    """
    line = "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in ACTING else character
        for character in " ".join(text.split())
    )
    if longest is not None and len(line) > longest:
        half = (longest - 1) // 2
        line = f"{line[: longest - 1 - half]}…{line[-half:]}"
    return line


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
    return "".join(
        _LATEX.get(character, character if ord(character) < 0x180 else rf"\texttt{{U+{ord(character):04X}}}")
        for character in printable(text)
    )


def slug(text: str) -> str:
    """Return a name of ASCII letters, digits, `-`, `_`, `.` that leads nowhere and stays apart from others' names."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[:LONGEST_NAME].strip("._-")
    return safe if safe == text and safe else f"{safe or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def case_slug(case: str, frames: int) -> str:
    """Return the name of a case at one length; 0 is each clip's own."""
    return slug(case) if frames == 0 else f"{slug(case)}_{frames:03d}f"
