"""Arguments of the verbs that are not Hydra applications: words and key=value pairs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from itertools import zip_longest

from toraeval.cli.paths import expanded
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
