"""Switches of the verbs that are Hydra applications, and answers to those that do not exist."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see: python -m toraeval {self.prog} --help")


def parse(verb: str, argv: list[str], keys: Iterable[str]) -> argparse.Namespace:
    """Return the switches, and under `overrides` everything else.

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
