"""Arguments of the verbs that are not Hydra applications: words and key=value pairs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from itertools import zip_longest

from toraeval.cli.switches import refusal
from toraeval.registry import unknown
from toraeval.types import UserError


def split(
    verb: str, argv: list[str], keys: Mapping[str, str], flags: tuple[str, ...] = ()
) -> tuple[list[str], dict[str, str]]:
    """Return the words and the key=value pairs of `argv`; a flag given as `--flag` becomes the pair flag=true.

    A word with a slash in front of its first `=` is a path, and so is one that exists. Values are taken literally;
    `~` and `$HOME` at the start of a path that does not exist are replaced, and stderr says so.

    Args:
        verb: for messages.
        argv: arguments after the verb.
        keys: allowed keys with their defaults.
        flags: allowed flags.

    Raises:
        UserError: an unknown key or flag.
    """
    words: list[str] = []
    values = dict(keys)
    notes: list[str] = []
    for text, following in zip_longest(argv, argv[1:], fillvalue=""):
        key, _, value = text.lstrip("+").partition("=")
        if text.startswith("-") and (text.lstrip("-") in flags or not os.path.lexists(text)):
            if text.lstrip("-") not in flags:
                known = ["--help", *(f"--{flag}" for flag in flags)]
                raise UserError(refusal(verb, text, following, keys, known))
            values[text.lstrip("-")] = "true"
        elif "=" in text and not ("/" in key or (key not in keys and os.path.lexists(text))):
            if key not in keys:
                raise UserError(unknown(f"option of {verb}", key, keys))
            values[key] = expanded(f"{key}=", value, notes)
        else:
            words.append(expanded("", text, notes))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return words, values


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
