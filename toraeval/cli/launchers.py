"""Hydra's launchers, which carry the jobs of a sweep into other processes or to other machines."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from toraeval import optional
from toraeval.registry import unknown
from toraeval.types import MissingAsset, UserError

LAUNCHERS = {
    "joblib": ("joblib", ("hydra_plugins.hydra_joblib_launcher", "joblib")),
    "submitit_local": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
    "submitit_slurm": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
}
"""Hydra's launchers that toraeval has an extra for: the extra, and the modules that it installs."""


def require_launcher(name: str) -> None:
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
        raise UserError(unknown("hydra/launcher", name, sorted({"basic", *LAUNCHERS} | known)))
