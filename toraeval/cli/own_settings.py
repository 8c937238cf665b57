"""YAML files of the user that `--config-dir` adds."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from toraeval.cli.composing import quoted, reason
from toraeval.config.source import search_path
from toraeval.inputs.text_files import read_text, shown
from toraeval.types import UserError


def added_path(verb: str, folder: str) -> str:
    """Return the override that has Hydra look into a folder of the user.

    Raises:
        UserError: there is no such folder.
    """
    path = Path(folder).absolute()
    if not path.is_dir():
        raise UserError(f"--config-dir {folder}: there is no such folder")
    return f"hydra.searchpath=[{','.join(map(quoted, search_path(verb, path)))}]"


def require_settings(file: Path) -> None:
    """Check that a file of the user holds settings, before Hydra fails over it in many lines.

    Raises:
        UserError: it is not readable, not YAML, or holds something else.
    """
    read_text(file)
    try:
        found = OmegaConf.load(file)  # as Hydra does
    except (YAMLError, OmegaConfBaseException, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: not readable as YAML ({shown(reason(error))})") from error
    if not (isinstance(found, DictConfig) and all(isinstance(key, str) for key in found)):
        raise UserError(f"{file}: holds no settings; allowed: lines of the form 'key: value'")
