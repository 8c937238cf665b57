"""`~` and `$HOME` at the start of a path, which a shell leaves alone after `key=` or inside quotes."""

from __future__ import annotations

import os
import re


def expanded(key: str, value: str, notes: list[str]) -> str:
    """Return a path with the home directory in place of a leading `~`, `~user`, `$HOME` or `${HOME}`.

    A path that exists as it stands is left alone, one in a folder of that name too, and so is `~name` where no user
    is called so.

    Args:
        key: `key=` in front of the value, for the note.
        value: as typed.
        notes: takes a line if anything was replaced, or might have been.
    """
    found = re.match(r"(~[^/]*|\$HOME|\$\{HOME\})(?=/|\Z)", value)
    if found is None or os.path.lexists(value):
        return value
    start = found.group()
    home = os.path.expanduser(start if start.startswith("~") else "~")
    if home == start:
        return value
    if os.path.lexists(start):
        notes.append(f"{key}{value} is read as a path in the folder {start} that lies here")
        return value
    path = home + value[found.end() :]
    notes.append(f"{key}{value} is read as {path}")
    return path
