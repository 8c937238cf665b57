"""Arguments of the verbs that are no Hydra applications: words and key=value pairs."""

from __future__ import annotations

from collections.abc import Mapping

from toraeval.registry import unknown
from toraeval.types import UserError


def split(
    verb: str, argv: list[str], keys: Mapping[str, str], flags: tuple[str, ...] = ()
) -> tuple[list[str], dict[str, str]]:
    """Return the words and the key=value pairs of `argv`; a flag given as `--flag` becomes the pair flag=true.

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
    for text in argv:
        if text.startswith("--"):
            if text[2:] not in flags:
                raise UserError(unknown(f"flag of {verb}", text, [f"--{flag}" for flag in flags]))
            values[text[2:]] = "true"
        elif "=" in text:
            key, _, value = text.lstrip("+").partition("=")
            if key not in keys:
                raise UserError(unknown(f"option of {verb}", key, keys))
            values[key] = value
        else:
            words.append(text)
    return words, values


def wants_help(argv: list[str]) -> bool:
    """Return True if the user asks for help."""
    return any(text in ("-h", "--help") for text in argv)
