"""Files that stand where weights should be: what a clone without Git LFS or a link to a web page leaves behind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from toraeval.types import UserError

START_BYTES = 512


def stand_in(file: str | Path) -> str:
    """Return what a file is that holds no numbers at all, with what gets them; an empty string for any other file."""
    try:
        with open(file, "rb") as opened:
            start = opened.read(START_BYTES)
    except OSError:
        return ""  # whoever reads it says why it cannot
    text = start.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n").lower()
    if text.startswith("version https://git-lfs"):
        return "a Git LFS pointer, not the file it stands for (`git lfs pull` gets that where it was cloned)"
    if "/annex/objects/" in text[:200] and text.startswith(("/annex", "../", ".git")):
        return (
            "a git-annex pointer, not the file it stands for (`git annex get` gets that where it was cloned)"
        )
    if text.startswith(("<!doctype", "<html", "<head", "<!--")):
        return "an HTML page, not weights (its link leads to a web page, a login or a confirmation)"
    if text.startswith("<?xml"):
        return "an XML message of a server, not weights"
    if text.startswith("{") and '"error' in text:
        return "a JSON message of a server, not weights"
    return ""


def require_numbers(files: Iterable[str | Path], what: str, cure: str) -> None:
    """Refuse files that only stand for weights.

    Args:
        files: weight files; those that do not exist are left to their reader.
        what: whose weights, for the message.
        cure: what gets the right ones.

    Raises:
        UserError: names the first file that is a pointer or a message in place of weights.
    """
    for file in files:
        kind = stand_in(file)
        if kind:
            raise UserError(f"{what}: {file} is {kind}; {cure}")
