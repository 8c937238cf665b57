"""Overrides are checked before Hydra runs: names and keys with did-you-mean, values with one clear line."""

from __future__ import annotations

import dataclasses
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, StringNode

from toraeval import config, optional, registry
from toraeval.allowed import check_once
from toraeval.cli.composing import OPEN, combinations, composed, literal, reason, with_values
from toraeval.cli.own_settings import added_path, require_settings
from toraeval.config.absent import check_given
from toraeval.types import MissingAsset, UserError

GROUPS = {
    "run": ("model", "suite", "tracker", "metric", "preset"),
    "bench": ("suite", "tracker", "metric", "preset"),
    "score": ("tracker", "metric"),
    "train": (),
    "validate": ("suite",),
}
# Suites whose pictures need other metrics than those of the default preset.
PRESETS = {"photos": "photos"}
LAUNCHERS = {
    "joblib": ("joblib", ("hydra_plugins.hydra_joblib_launcher", "joblib")),
    "submitit_local": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
    "submitit_slurm": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
}
"""Hydra's launchers that toraeval has an extra for: the extra, and the modules that it installs."""


@dataclass(frozen=True)
class Checked:
    """What a command asks for.

    Attributes:
        overrides: as Hydra shall see them.
        configs: every configuration that they stand for.
        hydra: Hydra's own settings.
        notes: what was read otherwise than typed.
    """

    overrides: list[str]
    configs: list[DictConfig]
    hydra: DictConfig
    notes: list[str]


def check(verb: str, overrides: list[str], multirun: bool, folder: str | None = None) -> Checked:
    """Check the overrides of a verb and make every configuration they stand for.

    Hydra composes each choice of parts and presets once; the values are put in on top, as it would do it.

    Args:
        verb: whose settings.
        overrides: as typed; values of text options are taken literally, see `composing.literal`.
        multirun: whether several values make several runs.
        folder: further YAML files, in subfolders named like the groups.

    Raises:
        UserError: wrong syntax, an unknown group choice or key, or a value of the wrong type.
        MissingAsset: the packages of a launcher are absent.
    """
    added = [added_path(verb, folder)] if folder else []
    chosen, implied = [], _implied(verb, overrides)
    overrides = overrides + implied
    for text in overrides:
        if _is_choice(verb, text):
            override = _parse(verb, text)
            _check_choice(verb, override, folder)
            chosen.append(_normal(override))
    bases, hydra = composed(verb, combinations(added + chosen, multirun))
    notes = [f"{text} comes with the suite; name another preset to have its metrics" for text in implied]
    if not multirun and any(_key(text).startswith("hydra/launcher") for text in overrides):
        notes.append(
            "hydra/launcher acts on the jobs of a sweep only, with -m; this is one run, and runs here"
        )
    plain = list(added)
    for text in overrides:
        key = _key(text)
        if not _is_choice(verb, text) and "=" in text and not text.startswith("~"):
            for base in bases.values():
                _check_key(verb, base, key)
                _check_value(verb, base, key, text.partition("=")[2])
            if any(_is_text(base, key) for base in bases.values()):
                text = literal(text, multirun, notes)
        plain.append(_normal(_parse(verb, text)))
    configs = []
    for combination in combinations(plain, multirun):
        base = bases[tuple(text for text in combination if _is_choice(verb, text))]
        configs.append(with_values(base, [text for text in combination if not _is_choice(verb, text)]))
    return Checked(plain, configs, hydra, list(dict.fromkeys(notes)))


def keys(verb: str) -> list[str]:
    """Return the groups and the uppermost options of a verb."""
    return [*GROUPS[verb], *(item.name for item in dataclasses.fields(config.verb_options(verb)))]


def _is_choice(verb: str, text: str) -> bool:
    """Return True for what Hydra has to know to compose: the choice of a part, and its own settings."""
    return _key(text) in GROUPS[verb] or _key(text).startswith("hydra")


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+")


def _check_value(verb: str, base: DictConfig, key: str, value: str) -> None:
    """Refuse an empty value, or null, where the option takes none."""
    if key.split(".")[0] in OPEN:
        return  # checked with the model whose option it is
    if value.strip() in ("", "''", '""'):
        check_given(verb, base, key, "")
    elif value.strip().lower() == "null" and not (_is_text(base, key) and os.path.lexists(value)):
        check_given(verb, base, key, None, of_part=key.split(".")[0] in (*GROUPS[verb], "metrics"))


def _is_text(base: DictConfig, key: str) -> bool:
    """Return True if the option is a string in this configuration."""
    first, *path = key.split(".")
    if first in OPEN:
        name, *path = path or [""]
        if name not in registry.names("model") or not path:
            return False
        options = {option.name: option.type for option in config.declared_by("model", name).options}
        return options.get(path[0]) in (str, str | None)
    node: Any = base
    path = [first, *path]
    for part in path:
        node = node._get_node(part) if isinstance(node, DictConfig) and part in node.keys() else None  # noqa: SIM118
    return isinstance(node, StringNode)


def require_complete(verb: str, cfg: DictConfig) -> None:
    """Refuse a configuration that still lacks a value.

    Raises:
        UserError: names the first missing value.
    """
    missing = sorted(key for key in OmegaConf.missing_keys(cfg) if not key.startswith("hydra"))
    if missing:
        group = missing[0].partition(".")[0]
        chosen = f"{group}={cfg[group].name} " if group in GROUPS[verb] and "name" in cfg[group] else ""
        raise UserError(
            f"{verb}: {missing[0]} is missing; give it as {missing[0]}=VALUE; see: python -m toraeval {verb} "
            f"{chosen}--help"
        )


def _implied(verb: str, overrides: list[str]) -> list[str]:
    """Return the preset that a suite brings along, where none is named: models and metrics that fit its pictures."""
    if "preset" not in GROUPS[verb] or any(_key(text) == "preset" for text in overrides):
        return []
    named = {name for text in overrides if _key(text) == "suite" for name in _values(_parse(verb, text))}
    return [f"preset={PRESETS[name]}" for name in named if len(named) == 1 and name in PRESETS]


def _parse(verb: str, text: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise UserError(
            f"'{text}' is not an option ({reason(error)}); write key=value, and quote lists: 'seeds=[0,1]'; "
            f"see: python -m toraeval {verb} --help"
        ) from error
    if override.is_delete():
        raise UserError(f"'{text}': nothing can be deleted here; set another value with key=value")
    return override


def _check_choice(verb: str, override: Override, folder: str | None) -> None:
    group = override.key_or_group
    if group == "hydra/launcher":
        for name in _values(override):
            _require_launcher(name)
        return
    if group not in GROUPS[verb]:
        return
    if override.value() is None:
        raise UserError(
            f"{verb}: {override.input_line} chooses none; allowed: {', '.join(config.choices(group))}"
        )
    own = sorted(path.stem for path in Path(folder, group).glob("*.yaml")) if folder else []
    allowed = [*config.choices(group), *own]
    if group != "metric" and isinstance(override.value(), list):
        raise UserError(
            f"{override.input_line}: one {group} is allowed; several, one run after the other, need -m and no brackets"
        )
    given = override.value()
    if given == []:
        raise UserError(f"{verb}: {group}=[] names none; to stop before scoring: 'stages=[generate,track]'")
    if isinstance(given, list):
        check_once(f"{verb}: {group}", given)
    for name in _values(override):
        if ":" in name and group in config.GROUPS:
            config.declared_by(group, name)  # refuses what cannot be imported
        elif name not in allowed:
            raise UserError(registry.unknown(group, name, allowed))
        elif folder and name in own:
            require_settings(Path(folder, group, f"{name}.yaml"))


def _require_launcher(name: str) -> None:
    """Check that a launcher's packages are installed.

    Raises:
        MissingAsset: one of them is absent or broken.
        UserError: an unknown launcher.
    """
    if name in LAUNCHERS:
        extra, modules = LAUNCHERS[name]
        absent = [
            f"{module}: {found.reason}" for module in modules if not (found := optional.probe(module)).ok
        ]
        if absent:
            cure = optional.install_command(extra)
            raise MissingAsset(f"hydra/launcher={name} needs packages ({'; '.join(absent)}); run: {cure}")
        return
    Plugins.instance()  # registers the launchers of all installed plugins
    known = {node.removesuffix(".yaml") for node in ConfigStore.instance().list("hydra/launcher")}
    if name not in known | {"basic"}:
        raise UserError(registry.unknown("hydra/launcher", name, sorted({"basic", *LAUNCHERS} | known)))


def _values(override: Override) -> list[Any]:
    value = override.value()
    items = value.list if isinstance(value, ChoiceSweep) else [value]
    flat = itertools.chain.from_iterable(item if isinstance(item, list) else [item] for item in items)
    return [str(item) for item in flat if item is not None]


def _normal(override: Override) -> str:
    """Return the override with the plus sign that Hydra needs: none, except below open parts."""
    text = str(override.input_line).lstrip("+")
    return f"++{text}" if override.key_or_group.split(".")[0] in OPEN else text


def _check_key(verb: str, base: DictConfig, key: str) -> None:
    if key.split(".")[0] in OPEN:
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
    if isinstance(node, DictConfig):
        raise UserError(f"{verb}: {key} is a set of options; give them one by one, as {key}.OPTION=VALUE")
    if walked[-1] == "name" and len(walked) > 1:
        chosen = "metric" if walked[0] == "metrics" else walked[0]
        raise UserError(f"{verb}: {key} cannot be set; choose another part with {chosen}=NAME")
