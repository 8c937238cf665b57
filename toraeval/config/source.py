"""What Hydra finds besides the files of `conf/`: options as the classes declare them, and presets as a verb reads them.

Hydra asks for what was chosen only, so that no other part is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from toraeval import registry
from toraeval.config import GROUPS, VERBS, conf_dir, metric_key, schema_of, verb_options

SCHEME = "toraeval"


class DeclaredSource(ConfigSource):
    """Serves `schema/...`, parts without a file, and `preset/NAME`; its path is `VERB:FOLDER`.

    The section `bench:` of a preset is for that verb alone: `bench` reads it as if it stood at the top, the others
    don't see it.
    """

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") in ("schema", "preset", *GROUPS, *(f"schema/{kind}" for kind in GROUPS))

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        kind = group.removeprefix("schema/")
        if kind == "schema":
            return name in VERBS or name == "train"
        if kind == "preset":
            return self._file(config_path).is_file()
        if kind not in GROUPS or (":" not in name and name not in registry.names(kind)):
            return False
        return group != kind or not self._file(config_path).is_file()

    def load_config(self, config_path: str) -> ConfigResult:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        kind, package = group.removeprefix("schema/"), None
        if group == "preset":
            loaded = OmegaConf.load(self._file(config_path))
            assert isinstance(loaded, DictConfig)
            own = loaded.pop("bench", None) or {}
            config = OmegaConf.merge(loaded, own if self.path.startswith("bench:") else {})
            package = "_global_"
        elif group == "schema":
            config = OmegaConf.structured(verb_options(name))
        else:
            config = OmegaConf.structured(schema_of(kind, name))
            if kind == group:
                package = f"metrics.{metric_key(name)}" if kind == "metric" else kind
        return ConfigResult(self.provider, self.full_path(), config, {"package": package})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []

    def _file(self, config_path: str) -> Path:
        folder = self.path.partition(":")[2]
        return Path(folder, config_path if config_path.endswith(".yaml") else f"{config_path}.yaml")


class _SearchPath(SearchPathPlugin):
    """Puts the source in front of the files of `conf/`."""

    verb = "run"

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.prepend(SCHEME, f"{SCHEME}://{self.verb}:{conf_dir()}")


@cache
def _register() -> None:
    Plugins.instance().register(DeclaredSource)
    Plugins.instance().register(_SearchPath)


@contextmanager
def hydra_of(verb: str) -> Iterator[Any]:
    """Give Hydra over the files of `conf/` and the options that classes declare, as a verb sees them."""
    _register()
    _SearchPath.verb = verb
    with initialize_config_dir(str(conf_dir(verb)), f"toraeval {verb}", "1.3"):
        yield GlobalHydra.instance().hydra


def search_path(verb: str, folder: Path) -> list[str]:
    """Return where Hydra finds the user's own files in the subfolders of a folder, named like the groups."""
    return [f"{SCHEME}://{verb}:{folder}", f"file://{folder}"]


def model_options(name: str) -> DictConfig:
    """Return the options of a model with the values that they have unless given: its class's, then its file's.

    Put together without Hydra, which would look for all settings of a command again for each model of a bench.

    Raises:
        UserError: unknown model, or one that cannot be imported.
    """
    options = OmegaConf.structured(schema_of("model", name))
    file = conf_dir() / "model" / f"{name}.yaml"
    if file.is_file():
        values = OmegaConf.load(file)
        assert isinstance(values, DictConfig)
        values.pop("defaults", None)  # names the class's options, which are there already
        options = OmegaConf.merge(options, values)
    assert isinstance(options, DictConfig)
    return options
