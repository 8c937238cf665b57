"""A generator whose option `size` picks who does the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toraeval.models.shared.base import Generator
from toraeval.types import Case, Requirement, Video


class SizedGenerator(Generator):
    """Hands everything on to the generator of its size.

    Args:
        size: name of the size.
        made: the generator of that size.
    """

    def __init__(self, size: str, made: Generator) -> None:
        self.size, self._made = size, made
        self.label = made.label

    def requirements(self) -> Sequence[Requirement]:
        return self._made.requirements()

    def prepare(self) -> None:
        self._made.prepare()

    def prepare_cases(self, cases: Sequence[Case]) -> None:
        self._made.prepare_cases(cases)

    def check(self, frames: int, height: int, width: int) -> None:
        self._made.check(frames, height, width)

    def check_case(self, case: Case, seed: int) -> None:
        self._made.check_case(case, seed)

    def fingerprint(self) -> dict[str, Any]:
        return self._made.fingerprint()

    def generate(self, case: Case, seed: int) -> Video:
        return self._made.generate(case, seed)
