"""Verbs that are Hydra applications: check first, then run the one job or every job of a sweep; exit codes are kept."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from toraeval.cli import error_text
from toraeval.cli.composing import explain
from toraeval.config.source import hydra_of
from toraeval.types import UserError, counted

MARK = "\ue000"
"""A character for private use, in place of a dollar sign that must not begin an interpolation."""
TOLD = ("model=", "frames=")
"""Starts of overrides that the table has columns for."""
OUTPUT = {"train": "folder"}
"""The option that names the folder a verb writes into, where it is not `results`."""


@dataclass
class Done:
    """What a verb did, as a job tells it to its caller.

    Attributes:
        exit_code: 0 done, 1 some cases failed; otherwise as of the same command on its own.
        rows: its result table, one mapping per row.
        error: why it did not run, as it is printed; empty if it did.
        printed: its stdout where it ran in another process; None where it ran here and everything is on the screen.
    """

    exit_code: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    printed: str | None = None


Execute = Callable[[dict[str, Any], str], Done]


@dataclass(frozen=True)
class HydraJob:
    """Run one configuration; a launcher may carry this object into another process.

    Attributes:
        execute: gets the resolved config as plain dicts and lists, and the command for the record.
        command: the command line of the whole sweep.
        caller: process id of the command.
    """

    execute: Execute
    command: str
    caller: int = field(default_factory=os.getpid)

    def __call__(self, cfg: Any) -> Done:
        here, printed, config = os.getpid() == self.caller, io.StringIO(), resolved(cfg)
        with contextlib.nullcontext() if here else contextlib.redirect_stdout(printed):
            try:
                ended = self.execute(config, self.command)
            except UserError as error:
                ended = Done(error.exit_code, error=error_text(error))
                if config.get("dry_run") and (missing := getattr(error, "report", "")):
                    print(f"{missing}\ncommand: {self.command}")  # the answer to a dry run, not its failure
                    ended.error = ""
        if not here:
            ended.printed = printed.getvalue()
        elif ended.error:
            print(ended.error, file=sys.stderr)
        return ended


def resolved(cfg: Any) -> dict[str, Any]:
    """Return a configuration as plain dicts and lists, with its interpolations filled in.

    Other options name the results folder, e.g. `${results}/cache`; a `${` in its own name must not be looked up again.
    """
    if "${" in str(cfg.get("results")):
        cfg = OmegaConf.merge(cfg, {"results": str(cfg.results).replace("$", MARK)})
        plain: dict[str, Any] = _unmarked(OmegaConf.to_container(cfg, resolve=True))
    else:
        plain = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    if "metrics" in plain:
        # a preset may hold options of a metric that is not asked for, and that therefore has no name
        plain["metrics"] = {key: given for key, given in plain["metrics"].items() if "name" in given}
    return plain


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unmarked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    return value.replace(MARK, "$") if isinstance(value, str) else value


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
    from toraeval.cli import overrides
    from toraeval.cli.arguments import switches

    arguments = switches(verb, argv, overrides.keys(verb))
    several = arguments.multirun and not arguments.help
    checked = overrides.check(verb, arguments.overrides, several, arguments.config_dir)
    if arguments.help:
        from toraeval.cli import options_help

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
        show(verb, checked.overrides, arguments)
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
        return run(checked.configs[0], checked.hydra, checked.overrides, job, place).exit_code
    moved = [f"hydra.{mode}.dir='{place}'" for mode in ("run", "sweep")] if place else []
    ended, words = sweep(verb, [*moved, *checked.overrides], job)
    report(ended, words, command)
    return max((one.exit_code for one in ended), default=0)


def _hydra_folder(configs: list[DictConfig], option: str) -> str | None:
    """Return a folder for Hydra's own files where the path of theirs would be read as an interpolation."""
    from toraeval.assets import cache_dir

    if not any("${" in os.path.abspath(str(cfg[option])) for cfg in configs):
        return None
    return str(cache_dir().absolute() / "hydra" / "${now:%Y%m%d-%H%M%S-%f}")


def run(
    cfg: DictConfig, hydra: DictConfig, overrides: list[str], job: HydraJob, folder: str | None = None
) -> Done:
    """Run the one job of a configuration; Hydra keeps a copy of it in the folder that its settings name.

    Args:
        cfg: the settings.
        hydra: those of Hydra.
        overrides: as given, for the copy.
        job: what to do.
        folder: of the copy, if it cannot be that of the settings.
    """
    with open_dict(cfg):
        cfg.hydra = hydra
    with read_write(cfg.hydra):
        cfg.hydra.mode = RunMode.RUN
        cfg.hydra.overrides.task = overrides
        cfg.hydra.run.dir = folder or cfg.hydra.run._get_node("dir")._value()
    context = HydraContext(None, Callback())  # type: ignore[arg-type]
    returned: Done = run_job(job, cfg, "hydra.run.dir", None, context).return_value
    return returned


def sweep(verb: str, overrides: list[str], job: HydraJob) -> tuple[list[Done], list[list[str]]]:
    """Run every combination through the chosen launcher; return how each job ended and its overrides.

    Raises:
        UserError: a launcher's process died and took its job with it.
    """
    try:
        with hydra_of(verb) as hydra:
            batches = hydra.multirun(verb, job, [*overrides, "hydra.mode=MULTIRUN"])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("joblib", "submitit"):
            raise
        raise UserError(
            f"a job of the sweep died ({type(error).__name__}: {' '.join(str(error).split())[:300]}); what is finished "
            "is kept: run the same command again, with fewer jobs at once if memory was short"
        ) from error
    returned = [one for batch in batches for one in batch]
    return [one.return_value for one in returned], [list(one.overrides) for one in returned]


def show(verb: str, overrides: list[str], switches: Namespace) -> None:
    """Let Hydra print the settings, or where they come from."""
    with hydra_of(verb) as hydra:
        if switches.cfg:
            hydra.show_cfg(verb, overrides, switches.cfg, switches.package, switches.resolve)
        else:
            hydra.show_info(switches.info, verb, overrides)


def report(ended: Sequence[Done], overrides: Sequence[Sequence[str]], command: str) -> None:
    """Print what the jobs of a sweep printed elsewhere, then one table of all, and a line for each that failed.

    Args:
        ended: the jobs in their order.
        overrides: of each job.
        command: of the sweep.
    """
    import pandas as pd

    from toraeval.cli.output import print_table

    words = [[text for text in mine if any(text not in other for other in overrides)] for mine in overrides]
    rows = []
    for job, mine in zip(ended, words, strict=True):
        if job.printed is not None:
            print(f"{' '.join(mine) or 'the job'}:\n{job.printed.rstrip()}\n", flush=True)
            if job.error:
                print(job.error, file=sys.stderr)
        own = " ".join(text for text in mine if not text.startswith(TOLD))
        rows += [{"job": own, **row} if own else row for row in job.rows]
    print(f"\nsweep of {counted(len(ended), 'job')}, {sum(job.exit_code == 0 for job in ended)} done:")
    if rows:
        print_table(pd.DataFrame(rows), "python -m toraeval show results columns=all shows every value")
    for job, mine in zip(ended, words, strict=True) if len(ended) > 1 else ():
        if job.exit_code:
            reason = job.error.splitlines()[0].removeprefix("error: ") if job.error else "some cases failed"
            print(f"exit code {job.exit_code}: {' '.join(mine)}: {reason}", file=sys.stderr)
    print(f"command: {command}")
