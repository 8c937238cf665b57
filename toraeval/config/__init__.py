"""Options: those of a verb are declared here, those of a part by its class; YAML files only set values."""

from __future__ import annotations

import copy
import functools
import re
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from toraeval import registry
from toraeval.config.declared import Declared, Unreadable, declaration
from toraeval.config.verbs import BenchConfig, RunConfig, ScoreConfig, ValidateConfig
from toraeval.types import UserError

GROUPS = registry.KINDS
VERBS: dict[str, type] = {
    "run": RunConfig,
    "bench": BenchConfig,
    "score": ScoreConfig,
    "validate": ValidateConfig,
}
"""Options of the verbs whose settings Hydra composes, besides `train`: see `verb_options`."""


def verb_options(verb: str) -> type:
    """Return the class of a verb's options; those of `train`, which are many, are read for that verb alone."""
    if verb == "train":
        from toraeval.config.training import TrainConfig

        return TrainConfig
    return VERBS[verb]


def conf_dir(verb: str = "run") -> Path:
    """Return the absolute folder of a verb's YAML files: beside the package in a checkout, inside it when installed.

    `train` has a folder of its own: its `model` is a word, while elsewhere `model` is a group of files.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "run.yaml").is_file():
            return folder / "training" if verb == "train" else folder
    raise UserError(f"the folder conf/ is missing beside {package}; install toraeval again")


def declared_by(kind: str, name: str) -> Declared:
    """Return what the class of a part declares; the part is not imported if its source tells all.

    Raises:
        UserError: unknown name, or a class that cannot be found or imported.
    """
    try:
        return declaration(registry.entry(kind, name).target)
    except Unreadable as error:
        raise UserError(
            f"{kind} {name}: its options cannot be read ({error}); give its class a constructor of its own"
        ) from error
    except Exception:
        registry.load(kind, name)  # says what is wrong
        raise


def schema_of(kind: str, name: str) -> type:
    """Return the dataclass of a part's options: its `name`, then those that its class declares."""
    fields: list[Any] = [("name", str, field(default=name))]
    for option in declared_by(kind, name).options:
        made = field(default_factory=functools.partial(copy.deepcopy, option.default))
        fields.append((option.name, option.type, made))
    return make_dataclass(re.sub(r"\W", "_", f"{name}_options"), fields)


def metric_key(name: str) -> str:
    """Return the key of a metric among `metrics`: its name; of `module:Class` the name that the class gives itself."""
    if ":" not in name:
        return name
    return str(declared_by("metric", name).facts.get("name") or name.rpartition(":")[2])


def default_metrics(verb: str) -> tuple[str, ...]:
    """Return the metrics that a verb's YAML file chooses."""
    loaded = OmegaConf.to_container(OmegaConf.load(conf_dir(verb) / f"{verb}.yaml"))
    assert isinstance(loaded, dict)
    for entry in loaded["defaults"]:
        if isinstance(entry, dict) and "metric" in entry:
            return tuple(entry["metric"])
    return ()


def choices(group: str) -> list[str]:
    """Return the options of a config group: registered components, or the YAML files of a preset group."""
    if group in GROUPS:
        return registry.names(group)
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def uninterpolated(text: str) -> str:
    """Return the text as OmegaConf must be given it so that `${...}` in it stays as it is."""
    return re.sub(r"(\\*)\$\{", lambda match: f"{match.group(1) * 2}\\${{", text)
