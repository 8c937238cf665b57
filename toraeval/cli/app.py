"""Verbs that are Hydra applications: check first, then hand the arguments to Hydra, keep exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.jobs import Execute, Job

if TYPE_CHECKING:
    from omegaconf import DictConfig

OUTPUT = {"train": "folder"}
"""The option that names the folder a verb writes into, where it is not `results`."""


def launch(verb: str, help_text: str, argv: list[str], execute: Execute) -> int:
    """Run a verb through Hydra.

    Args:
        verb: name of the primary config, too.
        help_text: printed for --help, before the groups and settings.
        argv: arguments after the verb.
        execute: what each job does.

    Returns:
        The largest exit code of all jobs.

    Raises:
        UserError: a switch or an option that cannot work, before anything is started.
    """
    from toraeval import config
    from toraeval.cli import jobs, overrides, switches
    from toraeval.store import record
    from toraeval.store.disk import require_writable
    from toraeval.store.sealed import require_no_link

    command = record.command_line([verb, *argv])
    config.register_schemas(verb)
    arguments = switches.parse(verb, argv, overrides.keys(verb))
    if arguments.help:
        print(help_text)
        print(overrides.describe(verb, arguments.overrides))
        return 0
    checked = overrides.check(verb, arguments.overrides, arguments.multirun, arguments.config_dir)
    for note in checked.notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.cfg or arguments.info:
        _show(verb, [text for text in argv if text not in arguments.overrides], checked.overrides)
        return 0
    for cfg in checked.configs:
        overrides.require_complete(verb, cfg)
        option = OUTPUT.get(verb, "results")
        folder = Path(str(cfg[option]))
        require_writable(folder, option)
        require_no_link(folder, folder / "runs" / ".hydra")
        require_no_link(folder, folder / ".hydra")
    job = Job(execute, command)
    plain = [*_hydra_folder(checked.configs, OUTPUT.get(verb, "results")), *checked.overrides]
    if not arguments.multirun:
        return jobs.run(verb, plain, job).exit_code
    ended, words = jobs.sweep(verb, plain, job)
    jobs.report(ended, words, command)
    return max((one.exit_code for one in ended), default=0)


def _hydra_folder(configs: list[DictConfig], option: str) -> list[str]:
    """Return overrides that keep Hydra's own files out of a folder whose path it would read as an interpolation."""
    from toraeval.assets import cache_dir

    if not any("${" in os.path.abspath(str(cfg[option])) for cfg in configs):
        return []
    place = cache_dir().absolute() / "hydra" / "${now:%Y%m%d-%H%M%S-%f}"
    return [f"hydra.{mode}.dir='{place}'" for mode in ("run", "sweep")]


def _show(verb: str, switches: list[str], overrides: list[str]) -> None:
    """Let Hydra print the settings, or where they come from."""
    import hydra

    from toraeval import config

    sys.argv = [f"toraeval {verb}", *switches, *overrides]
    hydra.main(version_base="1.3", config_path=str(config.conf_dir(verb)), config_name=verb)(print)()
