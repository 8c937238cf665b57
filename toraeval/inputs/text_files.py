"""Text files that people made themselves: their encoding is recognised by its mark, never guessed."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from toraeval.types import UserError, counted

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_ENDS = re.compile(r"\r\n|\n|\r")


def read_text(path: Path) -> str:
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


def split_lines(text: str) -> list[str]:
    r"""Split a text at \n, \r\n and \r only: JSON and captions may hold U+2028 and other separators."""
    parts = _LINE_ENDS.split(text)
    return parts[:-1] if parts and not parts[-1] else parts


def parse_json(text: str) -> Any:
    """Return a parsed JSON text.

    Raises:
        ValueError: it is not JSON, nested too deeply, or has a key twice in one object; `json.JSONDecodeError` where
            the line is known.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells by column of every row of a CSV file with a header; a short row lacks its last ones.

    Raises:
        UserError: a row has more cells than the header has columns, a column stands there twice, or the file is not
            readable.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    head: list[str] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not head:
                head = [cell.strip() for cell in row]
                if len(set(head)) < len(head):
                    raise UserError(
                        f"{path}:{reader.line_num}: a column stands twice in {shown(','.join(head))}"
                    )
                continue
            if len(row) > len(head):
                raise UserError(
                    f"{path}:{reader.line_num}: {counted(len(row), 'cell')} under {counted(len(head), 'column')} "
                    f"({shown(','.join(head))}); "
                    f'got {shown(",".join(row))}; a cell that holds commas stands in double quotes: "a cat, running"'
                )
            yield reader.line_num, dict(zip(head, row, strict=False))
    except csv.Error as error:
        raise UserError(
            f"{path}:{reader.line_num}: not readable as CSV ({error}); a cell that holds commas, quotes or line ends "
            'stands in double quotes, and a quote in it is doubled: "say ""hi"""'
        ) from error


def jsonl_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield line number and value of every line of a JSON-lines file that is not empty.

    Raises:
        UserError: a line that is not JSON, or the file is not readable.
    """
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        if line.strip():
            try:
                value = parse_json(line)
            except ValueError as error:
                raise UserError(
                    f"{path}:{number}: not JSON ({shown(error)}); expected one object a line"
                ) from error
            yield number, value


def exists(path: Path) -> bool:
    """Tell whether something is there; a name that the file system cannot hold is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Tell whether a file is there, as `exists` does."""
    return exists(path) and path.is_file()


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there, as `exists` does."""
    return exists(path) and path.is_dir()


def shown(value: object, longest: int = 120) -> str:
    """Return a value as one line of bounded length for a message."""
    text = str(value)
    head = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:longest])
    return head if len(text) <= longest else f"{head}... ({len(text)} characters)"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Return the first names of a list and how many more there are; `none` for an empty one."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def _likely(data: bytes) -> str:
    if b"\0" in data:
        return " and null bytes, as in UTF-16 without a byte order mark or in binary data"
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return " (perhaps GBK)"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
