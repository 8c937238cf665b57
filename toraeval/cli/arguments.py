"""What follows a verb: words and key=value pairs, or switches of a Hydra application; answers to unknown ones."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import NoReturn

from toraeval.registry import unknown
from toraeval.types import UserError

REFUSED = {
    "--experimental-rerun": "it would execute the pickle in that file; give the command again, what is done is kept",
    "--shell-completion": "there is no tab completion",
    "-sc": "there is no tab completion",
    "--hydra-help": "toraeval's own --help lists the options",
    "--config-path": "settings come with the verb; change them with key=value, or add a folder with --config-dir DIR",
    "--config-name": "settings come with the verb; change them with key=value, or add a folder with --config-dir DIR",
}


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
        UserError: an unknown key or flag, or nothing where a value or a word is due.
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
            if not value or (value.lower() == "null" and not os.path.lexists(value)):
                raise UserError(f"{verb}: {key}={value} gives no value; give one, or leave the option out")
            values[key] = expanded(f"{key}=", value, notes)
        elif not text:
            raise UserError(
                f"{verb}: one of the words is empty, perhaps a variable of the shell without a value"
            )
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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see: python -m toraeval {self.prog} --help")


def switches(verb: str, argv: list[str], keys: Iterable[str]) -> argparse.Namespace:
    """Return the switches of a Hydra application, and under `overrides` everything else.

    Args:
        verb: for messages.
        argv: arguments after the verb.
        keys: options of the verb, to answer `--key value` with `key=value`.

    Raises:
        UserError: a switch that does not exist, is refused, or does not go with another one.
    """
    parser = _Parser(prog=verb, add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--run", "-r", action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--package", "-p")
    parser.add_argument(
        "--info", "-i", nargs="?", const="all", choices=["all", "config", "defaults", "plugins"]
    )
    parser.add_argument("--config-dir", "-cd")
    for text, following in zip_longest(argv, argv[1:], fillvalue=""):
        if text.startswith("-") and text.split("=")[0] not in parser._option_string_actions:
            known = [name for name in parser._option_string_actions if name.startswith("--")]
            raise UserError(refusal(verb, text, following, keys, known))
    arguments = parser.parse_intermixed_args(argv)  # overrides on both sides of a switch
    chosen = [name for name in ("multirun", "run", "cfg", "info") if getattr(arguments, name)]
    if len(chosen) > 1:
        raise UserError(
            f"{verb}: {' and '.join(f'--{name}' for name in chosen)} do not go together; give one"
        )
    for name in ("resolve", "package"):
        if getattr(arguments, name) and not arguments.cfg:
            raise UserError(f"{verb}: --{name} goes with --cfg job only")
    return arguments


def refusal(
    verb: str, text: str, following: str, keys: Iterable[str], switches: Iterable[str] = ("--help",)
) -> str:
    """Return the answer to a switch that does not exist: `--model tora` is written `model=tora`."""
    switch, _, value = text.partition("=")
    if switch in REFUSED:
        return f"{verb}: {switch} is not available: {REFUSED[switch]}"
    key = switch.lstrip("-").replace("-", "_")
    if key not in keys:
        return f"{unknown(f'switch of {verb}', switch, switches)}; options are written key=value"
    if not value:
        value = following if following and not following.startswith("-") and "=" not in following else "VALUE"
    return f"{verb}: options are written key=value: give {key}={value} instead of {switch}"
