"""Text files that people made themselves: their encoding is recognised by its mark, never guessed."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

from toraeval.types import UserError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_ENDS = re.compile(r"\r\n|\n|\r")


def read(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; the mark is left out.

    Raises:
        UserError: the file is absent or unreadable, or in another encoding; the line is named.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        raise UserError(f"{shown(path)}: not readable: {_reason(error)}") from error
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: len(mark) + error.start].count(b"\n") + 1
        raise UserError(
            f"{path}:{line}: not readable as text; got the byte 0x{data[len(mark) + error.start]:02x}"
            f"{_likely(data)}; allowed: UTF-8, or UTF-16 with a byte order mark; save the file as UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(
            f"{path}:{line}: not readable as text; got null bytes, as in UTF-16 without a byte order mark or in binary "
            "data; allowed: UTF-8, or UTF-16 with a byte order mark; save the file as UTF-8"
        )
    return text


def lines(text: str) -> list[str]:
    r"""Split a text at \n, \r\n and \r only: JSON and captions may hold U+2028 and other separators."""
    parts = _LINE_ENDS.split(text)
    return parts[:-1] if parts and not parts[-1] else parts


def parse_json(text: str) -> Any:
    """Return a parsed JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deeply; `json.JSONDecodeError` where the line is known.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def shown(value: object, longest: int = 120) -> str:
    """Return a value as one line of bounded length for a message."""
    text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def _likely(data: bytes) -> str:
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return " (perhaps GBK)"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
