"""What the rivals' generators have in common: options are checked, and the size picks who does the work."""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any

from toraeval.models.shared.base import Generator
from toraeval.registry import unknown
from toraeval.types import UserError

from .generator import VERSION, EmbeddedRival

SIZES = ("nano", "upstream")
EMBEDDED = {"long_video", "overlap", "precision", "weights"}
SHARED = {"size", "steps", "guidance"}


class Rival(Generator):
    """A generator with an embedded size and the authors' own code.

    Args:
        options: fields of `options_class`; `size` is `nano` (embedded) or `upstream` (the authors' repository).

    Returns:
        The generator of the size.

    Raises:
        UserError: an unknown size, an option outside its range, or one that the size does not have.
    """

    name: str
    version = VERSION
    options_class: type[Any]
    upstream: str  # `module:Class`, relative to this package
    default_steps: int

    def __new__(cls, **options: Any) -> Generator:  # type: ignore[misc]
        config = cls.options_class(**options)
        if config.size not in SIZES:
            raise UserError(f"{cls.name}: {unknown('size', config.size, SIZES)}")
        cls._refuse_others(config)
        if config.size == "nano":
            return cls._embedded(config)
        module, _, attribute = cls.upstream.partition(":")
        package = __package__.rpartition(".")[0]
        made: Generator = getattr(importlib.import_module(f"{package}.{module}"), attribute)(config)
        return made

    @classmethod
    def _embedded(cls, config: Any) -> Generator:
        return EmbeddedRival(cls.name, config, cls.default_steps)

    @classmethod
    def _refuse_others(cls, config: Any) -> None:
        """Refuse options that belong to the other size and were changed."""
        for field in fields(config):
            value, embedded = getattr(config, field.name), field.name in EMBEDDED
            if field.name in SHARED or value == field.default or embedded == (config.size == "nano"):
                continue
            other = "nano" if embedded else "upstream"
            raise UserError(
                f"{cls.name}: size={config.size} has no option {field.name} (got {value}); "
                f"allowed: leave it out, or size={other}"
            )
