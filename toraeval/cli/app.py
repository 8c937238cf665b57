"""Verbs that are Hydra applications: check first, then hand the arguments to Hydra, keep exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toraeval.types import UserError

Execute = Callable[[dict[str, Any], str], int]
OUTPUT = {"train": "folder"}
"""The option that names the folder a verb writes into, where it is not `results`."""


def launch(verb: str, help_text: str, argv: list[str], execute: Execute) -> int:
    """Run a verb through Hydra.

    Args:
        verb: name of the primary config, too.
        help_text: printed for --help, before the groups and settings.
        argv: arguments after the verb.
        execute: gets the resolved config as plain dicts and lists, and the command for the record;
            returns an exit code.

    Returns:
        The largest exit code of all jobs.
    """
    import hydra
    from hydra._internal.utils import get_args_parser
    from omegaconf import DictConfig, OmegaConf

    from toraeval import config, record
    from toraeval.cli import error_text, overrides
    from toraeval.disk import require_writable

    command = record.command_line([verb, *argv])
    config.register_schemas(verb)
    arguments = get_args_parser().parse_intermixed_args(argv)  # overrides on both sides of a flag
    if arguments.help:
        print(help_text)
        print(overrides.describe(verb, arguments.overrides))
        return 0
    flags = [text for text in argv if text not in arguments.overrides]
    arranged = [*flags, *arguments.overrides]
    only_shown = arguments.hydra_help or arguments.info or arguments.shell_completion
    if not only_shown and not (arguments.config_dir or arguments.config_path or arguments.config_name):
        checked = overrides.check(verb, arguments.overrides, arguments.multirun)
        arranged = [*flags, *checked.overrides]
        if arguments.cfg is None:
            for cfg in checked.configs:
                overrides.require_complete(verb, cfg)
                require_writable(Path(str(cfg[OUTPUT.get(verb, "results")])))
    codes: list[int] = []

    def job(cfg: DictConfig) -> None:
        plain = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(plain, dict)
        try:
            codes.append(execute({str(key): value for key, value in plain.items()}, command))
        except UserError as error:
            print(error_text(error), file=sys.stderr)
            codes.append(error.exit_code)

    sys.argv = [f"toraeval {verb}", *arranged]
    hydra.main(version_base="1.3", config_path=str(config.conf_dir(verb)), config_name=verb)(job)()
    return max(codes, default=0)
