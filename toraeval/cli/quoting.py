"""Values of text options arrive as they were typed: none of Hydra's special characters means anything in them."""

from __future__ import annotations

import os
import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

from toraeval.cli.arguments import expanded
from toraeval.config import uninterpolated

QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
"""One quoted string, from its first character to its last."""
CHOICE = re.compile(rf"(?:{QUOTED.pattern}|[^,])*", re.DOTALL)
"""What stands between the commas of a sweep; those inside quotes separate nothing."""
SWEEP = re.compile(r"(?:choice|range|interval|glob|shuffle|sort|tag)\(.*\)", re.DOTALL)
"""A sweep that names Hydra's function for it."""


def literal(override: str, sweeps: bool, notes: list[str]) -> str:
    """Return an override of a text option in the form in which Hydra's grammar gives back what was typed.

    Args:
        override: `key=value` as typed.
        sweeps: whether a comma outside quotes separates the values of a sweep, as it does with -m.
        notes: takes a line for each value that is read as something else than it says.
    """
    key, _, value = override.partition("=")
    if sweeps and SWEEP.fullmatch(value):
        return override
    if "," in value and sweeps and not QUOTED.fullmatch(value):
        if os.path.lexists(value):
            notes.append(
                f"{key}={value} is read as the one path of that name; 'choice(A,B)' gives one run for each value"
            )
            return f"{key}={quoted(value)}"
        choices = [match.group().strip() for match in CHOICE.finditer(value) if match.group()]
        return f"{key}={','.join(_of_value(key, choice, notes) for choice in choices)}"
    return f"{key}={_of_value(key, value, notes)}"


def _of_value(key: str, value: str, notes: list[str]) -> str:
    if value.lower() == "null" and not os.path.lexists(value):
        return value
    if QUOTED.fullmatch(value) and not os.path.lexists(value):
        return quoted(_unquoted(value))
    return quoted(expanded(f"{key}=", value, notes))


def quoted(text: str) -> str:
    """Return a text in the quotes in which Hydra gives it back as it is."""
    return QuotedString(uninterpolated(text), Quote.single).with_quotes()


def _unquoted(value: str) -> str:
    parsed = OverridesParser.create().parse_rule(value, "primitive")
    return parsed.text if isinstance(parsed, QuotedString) else str(parsed)
