"""Overrides are checked before Hydra runs: names and keys with did-you-mean, values with one clear line."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from toraeval import config, registry
from toraeval.types import UserError

GROUPS = {
    "run": ("model", "suite", "tracker", "metric", "preset"),
    "bench": ("suite", "tracker", "metric", "preset", "bench"),
    "score": ("tracker", "metric"),
    "train": (),
}
# Parts of a config whose keys are free; Hydra wants them marked as additions.
OPEN = ("model_options",)


@dataclass(frozen=True)
class Checked:
    """Overrides as Hydra shall see them, and every configuration they stand for."""

    overrides: list[str]
    configs: list[DictConfig]


def check(verb: str, overrides: list[str], multirun: bool) -> Checked:
    """Check the overrides of a verb and compose every configuration they stand for.

    Raises:
        UserError: wrong syntax, an unknown group choice or key, or a value of the wrong type.
    """
    parsed = [_parse(verb, text) for text in overrides]
    groups = GROUPS[verb]
    plain: list[str] = []
    for override in parsed:
        _check_choice(verb, override)
        plain.append(_normal(override))
    chosen = [text for text, override in zip(plain, parsed, strict=True) if override.key_or_group in groups]
    others = [override for override in parsed if override.key_or_group not in groups]
    for combination in _combinations(chosen, multirun) if others else []:
        base = _compose(verb, combination)
        for override in others:
            _check_key(verb, base, override)
    configs = [_compose(verb, combination) for combination in _combinations(plain, multirun)]
    return Checked(plain, configs)


def describe(verb: str, overrides: list[str]) -> str:
    """Return the groups and settings of a verb for its help."""
    lines = [f"  {group}={'|'.join(config.choices(group))}" for group in GROUPS[verb] if group != "bench"]
    head = ["Parts (group=option):", *lines, ""] if lines else []
    settings = OmegaConf.to_yaml(check(verb, overrides, multirun=False).configs[0])
    tail = "Switches: --cfg job (show the settings, start nothing), -m (every combination), --hydra-help"
    return "\n".join([*head, "Settings (key=value; explained in docs/cli.md):", settings, tail])


def require_complete(verb: str, cfg: DictConfig) -> None:
    """Refuse a configuration that still lacks a value.

    Raises:
        UserError: names the first missing value.
    """
    missing = sorted(key for key in OmegaConf.missing_keys(cfg) if not key.startswith("hydra"))
    if missing:
        raise UserError(
            f"{verb}: {missing[0]} is missing; give it as {missing[0]}=VALUE; see: python -m toraeval {verb} --help"
        )


def _parse(verb: str, text: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise UserError(
            f"'{text}' is no override ({_first_line(error)}); write key=value, and quote lists: 'seeds=[0,1]'; "
            f"see: python -m toraeval {verb} --help"
        ) from error
    if override.is_delete():
        raise UserError(f"'{text}': nothing can be deleted here; set another value with key=value")
    return override


def _check_choice(verb: str, override: Override) -> None:
    group = override.key_or_group
    if group not in GROUPS[verb]:
        return
    for name in _values(override):
        if name not in config.choices(group):
            raise UserError(registry.unknown(group, str(name), config.choices(group)))


def _values(override: Override) -> list[Any]:
    value = override.value()
    items = value.list if isinstance(value, ChoiceSweep) else [value]
    flat = itertools.chain.from_iterable(item if isinstance(item, list) else [item] for item in items)
    return [str(item) for item in flat if item is not None]


def _normal(override: Override) -> str:
    """Return the override with the plus sign that Hydra needs: none, except below open parts."""
    text = str(override.input_line).lstrip("+")
    return f"++{text}" if override.key_or_group.split(".")[0] in OPEN else text


def _check_key(verb: str, base: DictConfig, override: Override) -> None:
    key = override.key_or_group
    if key.startswith("hydra") or key.split(".")[0] in OPEN:
        return
    node: Any = base
    walked: list[str] = []
    for part in key.split("."):
        names = [str(name) for name in node] if isinstance(node, DictConfig) else []
        if part not in names:
            where = ".".join(walked)
            if walked and not isinstance(node, DictConfig):
                raise UserError(
                    f"{verb}: {where} has no options of its own; give all of it at once: {where}=VALUE, or "
                    f"'{where}={{{part}: VALUE}}' where it takes named values"
                )
            allowed = [f"{where}.{name}" if where else name for name in names if name != "name"]
            if not where:
                allowed += [group for group in GROUPS[verb] if group not in allowed]
            raise UserError(registry.unknown(f"option of {verb}", key, allowed))
        walked.append(part)
        node = None if OmegaConf.is_missing(node, part) else node[part]


def _combinations(overrides: list[str], multirun: bool) -> list[list[str]]:
    if not multirun:
        return [overrides]
    parsed = OverridesParser.create().parse_overrides(overrides)
    try:
        return [list(batch) for batch in BasicSweeper.split_arguments(parsed, None)[0]]
    except HydraException as error:
        raise UserError(f"sweep: {_first_line(error)}") from error


def _compose(verb: str, overrides: list[str]) -> DictConfig:
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(config.conf_dir(verb))):
            return compose(verb, overrides=overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error)) from error


def _explain(error: Exception) -> str:
    """Return one line for what Hydra or OmegaConf says in several."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key = getattr(cause, "full_key", None)
    first = _first_line(cause)
    if "Ambiguous value" in first or "sweep" in first.lower():
        return (
            f"{first}: several values, one run after the other, need -m; a list needs brackets: 'key=[a,b]'"
        )
    return f"{key}: {first}" if key and key not in first else first


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
