"""The settings that Hydra composes of overrides, and what it says in many lines as one for the user.

Values of text options arrive as they were typed: none of Hydra's special characters means anything in them.
"""

from __future__ import annotations

import copy
import itertools
import os
import re

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from toraeval.cli.arguments import expanded
from toraeval.config import uninterpolated
from toraeval.config.source import hydra_of
from toraeval.types import UserError

QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
"""One quoted string, from its first character to its last."""
CHOICE = re.compile(rf"(?:{QUOTED.pattern}|[^,])*", re.DOTALL)
"""What stands between the commas of a sweep; those inside quotes separate nothing."""
SWEEP = re.compile(r"(?:choice|range|interval|glob|shuffle|sort|tag)\(.*\)", re.DOTALL)
"""A sweep that names Hydra's function for it."""
OPEN = ("model_options",)
"""Parts of a config whose keys are free; Hydra wants them marked as additions."""
NOISE = (
    "full_key:", "object_type=", "reference_type=", "To append to your config", "See https://", "Config search path",
    "provider=",
)  # fmt: skip
HEADING = "raised while composing config:"
"""What Hydra's messages hold beside the reason: starts and ends of lines."""

OF_TYPE = (
    re.compile(r"Value '(?P<value>.*)' of type '\w+' could not be converted to (?P<kind>\w+)", re.DOTALL),
    re.compile(r"Invalid type assigned: (?P<value>NoneType) is not a subclass of (?P<kind>\w+)"),
)
"""How OmegaConf says that a value has another type than the option."""
KINDS = {"integer": "a whole number", "int": "a whole number", "float": "a number", "boolean": "true or false",
         "bool": "true or false"}  # fmt: skip


def combinations(overrides: list[str], multirun: bool) -> list[list[str]]:
    """Return the overrides of each job: every combination where several values make several runs."""
    if not multirun:
        return [overrides]
    each = []
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.get_key_element()
        if not override.is_sweep_override():
            each.append([f"{key}={override.get_value_element_as_str()}"])
        elif override.is_discrete_sweep():
            each.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise UserError(
                f"sweep: {override.input_line}: allowed are lists of values, choice() and range()"
            )
    return [list(combination) for combination in itertools.product(*each)]


def composed(
    verb: str, combinations: list[list[str]]
) -> tuple[dict[tuple[str, ...], DictConfig], DictConfig]:
    """Return the settings of each choice of parts, and those of Hydra."""
    made = {}
    try:
        with hydra_of(verb):
            for chosen in combinations:
                made[tuple(chosen)] = compose(verb, overrides=chosen, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from error
    hydra = DictConfig({})
    for cfg in made.values():
        with open_dict(cfg):
            hydra = cfg.pop("hydra")
    return made, hydra


def with_values(base: DictConfig, overrides: list[str]) -> DictConfig:
    """Return the settings with values put in."""
    made = copy.deepcopy(base)
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.is_sweep_override():
            raise UserError(ambiguous(f"Ambiguous value for argument '{override.input_line}'"))
        added = override.key_or_group.split(".")[0] in OPEN
        try:
            OmegaConf.update(made, override.key_or_group, override.value(), merge=True, force_add=added)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error)) from error
    return made


def explain(error: Exception) -> str:
    """Return one line for what Hydra or OmegaConf says in several."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key = getattr(cause, "full_key", None)
    told = reason(cause)
    for pattern in OF_TYPE:
        found = pattern.match(told)
        if found and key and (kind := KINDS.get(found["kind"].lower())):
            value = "null" if found["value"] == "NoneType" else found["value"]
            return f"{key}={value}; allowed: {kind}"
    if "Ambiguous value" in told or told.startswith("Sweep parameters"):
        return ambiguous(str(cause).splitlines()[0])
    if "is not a ListConfig" in told:
        return f"{key} takes a list; with one value: '{key}=[VALUE]'"
    return f"{key}: {told}" if key and key not in told else told


def ambiguous(what: str) -> str:
    """Return what to do about several values, after what was given."""
    return f"{what}: several values, one run after the other, need -m; a list needs brackets: 'key=[a,b]'"


def reason(error: BaseException) -> str:
    """Return the lines of a message that say something to the user, as one."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(NOISE) and not line.endswith(HEADING)]
    return " ".join(told) or (reason(error.__cause__) if error.__cause__ else type(error).__name__)


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
