"""What the two rivals' generators have in common: options are checked, and the size picks who does the work."""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any

from toraeval.config.models import RivalConfig
from toraeval.models.shared.base import Generator
from toraeval.registry import unknown
from toraeval.run.requirements import Requirement
from toraeval.types import Case, UserError, Video

from .generator import VERSION, EmbeddedRival

SIZES = ("nano", "upstream")
EMBEDDED = {"long_video", "overlap", "precision", "weights"}
SHARED = {"name", "size", "steps", "guidance"}


class Rival:
    """A generator with an embedded size and the authors' own code.

    Args:
        options: fields of `options_class`; `size` is `nano` (embedded) or `upstream` (the authors' repository).

    Raises:
        UserError: an unknown size, an option outside its range, or one that the size does not have.
    """

    name: str
    version = VERSION
    options_class: type[RivalConfig]
    upstream: str  # `module:Class`, relative to this package
    default_steps: int

    def __init__(self, **options: Any) -> None:
        config = self.options_class(**options)
        if config.size not in SIZES:
            raise UserError(f"{self.name}: {unknown('size', config.size, SIZES)}")
        self._refuse_others(config)
        self.size = config.size
        self._made = self._upstream(config) if config.size == "upstream" else self._embedded(config)
        self.label: str | None = getattr(self._made, "label", None)

    def prepare(self) -> None:
        """Load the weights, once, or start the authors' program."""
        self._made.prepare()

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse lengths and sizes that this model cannot make.

        Raises:
            UserError: a length or size outside the range of the model's size.
        """
        self._made.check(frames, height, width)

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: a case that does not fit the model's size.
        """
        if hasattr(self._made, "check_case"):
            self._made.check_case(case, seed)

    def requirements(self) -> list[Requirement]:
        """Return what is absent of the authors' code; the embedded size needs nothing but its weights."""
        return self._made.requirements() if hasattr(self._made, "requirements") else []

    def fingerprint(self) -> dict[str, Any]:
        """Return size, options, hashes of all weights and generator version."""
        return self._made.fingerprint()

    def generate(self, case: Case, seed: int) -> Video:
        """Generate one clip of exactly `case.frames` frames.

        Raises:
            UserError: a case that does not fit the model's size.
        """
        return self._made.generate(case, seed)

    def _embedded(self, config: RivalConfig) -> Any:
        return EmbeddedRival(self.name, config, self.default_steps)

    def _upstream(self, config: RivalConfig) -> Generator:
        module, _, attribute = self.upstream.partition(":")
        package = __package__.rpartition(".")[0]
        made: Generator = getattr(importlib.import_module(f"{package}.{module}"), attribute)(config)
        return made

    def _refuse_others(self, config: RivalConfig) -> None:
        """Refuse options that belong to the other size and were changed."""
        for field in fields(config):
            value, embedded = getattr(config, field.name), field.name in EMBEDDED
            if field.name in SHARED or value == field.default or embedded == (config.size == "nano"):
                continue
            other = "nano" if embedded else "upstream"
            raise UserError(
                f"{self.name}: size={config.size} has no option {field.name} (got {value}); "
                f"allowed: leave it out, or size={other}"
            )
