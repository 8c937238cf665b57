"""Verbs that are Hydra applications: check first, then hand the arguments to Hydra, keep exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.cli.jobs import Execute, HydraJob

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
    from toraeval.cli import jobs, options_help, overrides, switches

    arguments = switches.parse(verb, argv, overrides.keys(verb))
    several = arguments.multirun and not arguments.help
    checked = overrides.check(verb, arguments.overrides, several, arguments.config_dir)
    if arguments.help:
        print(help_text)
        print(options_help.describe(verb, checked.configs[0]))
        return 0
    from toraeval.store import record
    from toraeval.store.disk import require_writable
    from toraeval.store.sealed import require_no_link

    command = record.command_line([verb, *argv])
    for note in checked.notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.cfg or arguments.info:
        jobs.show(verb, checked.overrides, arguments)
        return 0
    option = OUTPUT.get(verb, "results")
    for cfg in checked.configs:
        overrides.require_complete(verb, cfg)
        folder = Path(str(cfg[option]))
        require_writable(folder, option)
        require_no_link(folder, folder / "runs" / ".hydra")
        require_no_link(folder, folder / ".hydra")
    job = HydraJob(execute, command)
    place = _hydra_folder(checked.configs, option)
    if not arguments.multirun:
        return jobs.run(checked.configs[0], checked.hydra, checked.overrides, job, place).exit_code
    moved = [f"hydra.{mode}.dir='{place}'" for mode in ("run", "sweep")] if place else []
    ended, words = jobs.sweep(verb, [*moved, *checked.overrides], job)
    jobs.report(ended, words, command)
    return max((one.exit_code for one in ended), default=0)


def _hydra_folder(configs: list[DictConfig], option: str) -> str | None:
    """Return a folder for Hydra's own files where the path of theirs would be read as an interpolation."""
    from toraeval.assets import cache_dir

    if not any("${" in os.path.abspath(str(cfg[option])) for cfg in configs):
        return None
    return str(cache_dir().absolute() / "hydra" / "${now:%Y%m%d-%H%M%S-%f}")
