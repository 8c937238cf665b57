"""Which options belong to which verb and part, and how they reach Hydra's ConfigStore."""

from __future__ import annotations

import copy
import functools
import inspect
import re
import typing
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from toraeval import registry
from toraeval.config import models, parts
from toraeval.config.training import TrainConfig
from toraeval.config.verbs import BenchConfig, RunConfig, ScoreConfig
from toraeval.types import UserError

PLAIN = (int, float, bool, str, int | None, float | None, str | None, list[int], list[float], list[str])
"""Types of derived options that are checked; any other type is left to the part itself."""
GROUPS = ("model", "suite", "tracker", "metric")
SCHEMAS: dict[str, dict[str, type]] = {
    "model": {
        "tora": models.ToraConfig,
        "tora_cogvideox": models.ToraCogVideoXConfig,
        "motionctrl": models.MotionCtrlConfig,
        "dragnuwa": models.DragNUWAConfig,
        "wan_move": models.WanMoveConfig,
        "ground_truth": models.GroundTruthConfig,
        "static": models.StaticConfig,
        "cut_and_drag": models.CutAndDragConfig,
        "precomputed": models.PrecomputedConfig,
    },
    "suite": {"shapes": parts.ShapesConfig, "photos": parts.PhotosConfig, "folder": parts.FolderConfig},
    "tracker": {
        "cotracker3_offline": parts.CoTracker3OfflineConfig,
        "cotracker3_online": parts.CoTracker3OnlineConfig,
    },
    "metric": {
        "traj_error": parts.TrajErrorConfig,
        "fvd": parts.FVDConfig,
        "clipsim": parts.ClipSimConfig,
        "lpips": parts.LPIPSConfig,
        "fid": parts.FIDConfig,
        "class_kept": parts.ClassKeptConfig,
    },
}
VERBS: dict[str, type] = {"run": RunConfig, "bench": BenchConfig, "score": ScoreConfig, "train": TrainConfig}


def conf_dir(verb: str = "run") -> Path:
    """Return the absolute folder of a verb's YAML files: beside the package in a checkout, inside it when installed.

    `train` has a folder of its own: its `model` is a word, while elsewhere `model` is a group of files.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "run.yaml").is_file():
            return folder / "training" if verb == "train" else folder
    raise UserError(f"the folder conf/ is missing beside {package}; install toraeval again")


def register_schemas(verb: str = "run") -> None:
    """Put the schemas of a verb into Hydra's ConfigStore.

    A part without a YAML file, e.g. from another distribution, is put there as well.
    """
    store = ConfigStore.instance()
    store.store(group="schema", name=verb, node=VERBS[verb])
    for kind in () if verb == "train" else GROUPS:
        for name in registry.names(kind):
            store.store(group=f"schema/{kind}", name=name, node=schema_of(kind, name))
            if not (conf_dir() / kind / f"{name}.yaml").is_file():
                package = f"metrics.{name}" if kind == "metric" else kind
                store.store(group=kind, name=name, node=schema_of(kind, name), package=package)


def schema_of(kind: str, name: str) -> type:
    """Return the dataclass of a part's options.

    Parts that are slow to import have theirs in `SCHEMAS`; the options of any other part, also of one from
    another distribution, are the keyword arguments of its constructor.
    """
    if name in SCHEMAS[kind] and registry.entry(kind, name).target.startswith(("toraeval.", "baselines.")):
        return SCHEMAS[kind][name]
    constructor = registry.load(kind, name).__init__
    hints = typing.get_type_hints(constructor)
    fields: list[Any] = [("name", str, field(default=name))]
    for parameter in list(inspect.signature(constructor).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = MISSING if parameter.default is parameter.empty else parameter.default
        made = field(default_factory=functools.partial(copy.copy, default))
        hint = hints.get(parameter.name, Any)
        fields.append((parameter.name, hint if hint in PLAIN else Any, made))
    return make_dataclass(f"{name}_options", fields)


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
