"""The small commands of this package: `python -m toraeval.training.<command> name=value ...`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from toraeval.types import UserError


def parse(options: type, arguments: Sequence[str]) -> Any:
    """Return an instance of a dataclass from `name=value` arguments.

    Raises:
        UserError: an unknown name, or a value of the wrong type.
    """
    try:
        given = OmegaConf.from_dotlist(list(arguments))
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), given))
    except OmegaConfBaseException as error:
        names = ", ".join(field.name for field in fields(options))
        raise UserError(f"{' '.join(arguments)}: {str(error).splitlines()[0]}; options: {names}") from error


def run_command(options: type, execute: Callable[[Any], None], arguments: Sequence[str]) -> int:
    """Parse, execute and return the exit code; an error becomes one line."""
    try:
        execute(parse(options, arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)  # noqa: T201
        return 130
    return 0
