"""The options of a verb and of the chosen parts, each with its value and the line that its class has for it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from toraeval import config
from toraeval.cli.overrides import GROUPS
from toraeval.config import training
from toraeval.config.declared import REQUIRED, Declared, declaration
from toraeval.config.trainings import TrainingOptions
from toraeval.config.verbs import AblationsConfig, ClusterConfig

INDENT = 32
WIDTH = 118


def describe(verb: str, cfg: DictConfig) -> str:
    """Return the parts of a verb, and every option of it and of the parts that a configuration chooses."""
    values: Any = OmegaConf.to_container(cfg)
    lines = [_entry(f"{group}={' | '.join(config.choices(group))}", "") for group in GROUPS[verb]]
    if lines:
        lines = ["Parts (group=choice; a model, suite, tracker or metric also as module:Class):", *lines, ""]
    lines.append("Options (key=value):")
    plain = {key: value for key, value in values.items() if key not in (*GROUPS[verb], "metrics")}
    own = TrainingOptions if verb == "train" else config.verb_options(verb)
    lines += _options(_of_class(own), {key: value for key, value in plain.items() if key != "cluster"})
    for title, options in training.sections().items() if verb == "train" else ():
        declared = _of_class(options)
        shown = [
            o for o in declared.options if o.name not in {shared.name for shared in _of_class(own).options}
        ]
        given = {o.name: o.default if plain[o.name] is None else plain[o.name] for o in shown}
        lines += ["", f"Options of {title}:", *_options(declared, given)]
    if "cluster" in values:
        lines += ["", "Options of executor=slurm and executor=ray:"]
        lines += _options(_of_class(ClusterConfig), values["cluster"], "cluster.")
    if values.get("ablations"):
        lines += ["", "Options of preset=ablations:"]
        lines += _options(_of_class(AblationsConfig), values["ablations"], "ablations.")
    for kind, key, chosen in _parts(verb, values):
        lines += ["", f"Options of {kind}={chosen['name']}:"]
        lines += _options(config.declared_by(kind, chosen["name"]), chosen, f"{key}.")
    tail = "Switches: --cfg job (print the settings, start nothing), -m (every combination), --config-dir DIR"
    return "\n".join([*lines, "", tail])


def _parts(verb: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield kind, key and options of every chosen part that has options."""
    found = [(kind, kind, values.get(kind)) for kind in config.GROUPS if kind in GROUPS[verb]]
    found += [("metric", f"metrics.{name}", chosen) for name, chosen in values.get("metrics", {}).items()]
    for kind, key, chosen in found:
        if isinstance(chosen, Mapping) and len(chosen) > 1 and "name" in chosen:
            yield kind, key, chosen


def _of_class(cls: type) -> Declared:
    return declaration(f"{cls.__module__}:{cls.__name__}")


def _options(declared: Declared, values: Mapping[str, Any], prefix: str = "") -> list[str]:
    return [
        _entry(f"{prefix}{option.name}={word(values[option.name])}", option.text)
        for option in declared.options
        if option.name in values
    ]


def word(value: Any) -> str:
    """Return a value as one would type it."""
    if value == REQUIRED:
        return "(to be given)"
    if isinstance(value, list):
        return f"[{','.join(map(word, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {word(item)}' for key, item in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _entry(key: str, text: str) -> str:
    """Return a key with its line beside it, wrapped."""
    space = " " * INDENT
    head = f"  {key}"
    if not text:
        return textwrap.fill(head, WIDTH, subsequent_indent="    ", break_long_words=False)
    first = f"{head:<{INDENT}}" if len(head) < INDENT - 1 else f"{head}\n{space}"
    return first + textwrap.fill(text, WIDTH - INDENT).replace("\n", f"\n{space}")
