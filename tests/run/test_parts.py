"""Parts are built once for a command, and one that knows nothing of the base classes gets what it lacks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fake_parts import FakeModel, FakeSuite, FakeTracker, config
from toraeval.models.shared.base import Generator
from toraeval.run import pipeline, requirements
from toraeval.run.parts import Builder, with_base
from toraeval.run.plan import plan_run

pytestmark = pytest.mark.usefixtures("fakes")


class Slotted:
    """A generator without a place for further attributes."""

    __slots__ = ("steps",)
    name = "slotted"

    def fingerprint(self) -> dict[str, Any]:
        return {"model": self.name}

    def check(self, frames: int, height: int, width: int) -> None:
        raise ValueError("its own")


@dataclass(frozen=True)
class Frozen:
    """A generator that cannot be changed."""

    name: str = "frozen"
    label: str = "Frozen 2"

    def fingerprint(self) -> dict[str, Any]:
        return {"model": self.name}


@pytest.mark.parametrize("part", [Slotted(), Frozen()])
def test_a_generator_without_the_base_class_has_every_member(part: Any) -> None:
    own = type(part)
    full: Generator = with_base(part, Generator)
    assert full is part
    assert isinstance(full, own)
    assert isinstance(full, Generator)
    case = FakeSuite().cases(8, 64, 64)[0]
    assert (full.notes, full.requirements(), full.case_fingerprint(case)) == ((), (), None)
    full.prepare()
    full.prepare_cases([case])
    full.check_case(case, 0)
    assert full.label == getattr(own, "label", None)


def test_its_own_members_come_first() -> None:
    with pytest.raises(ValueError, match="its own"):
        with_base(Slotted(), Generator).check(8, 64, 64)


def test_a_part_with_the_base_class_is_left_as_it_is() -> None:
    class Whole(Generator):
        name = "whole"

    assert type(with_base(Whole(), Generator)) is Whole


def test_a_command_builds_each_part_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: Counter[str] = Counter()
    for cls in (FakeModel, FakeTracker):

        def counted(
            self: Any, *given: Any, make: Any = cls.__init__, name: str = cls.name, **options: Any
        ) -> None:
            built[name] += 1
            make(self, *given, **options)

        monkeypatch.setattr(cls, "__init__", counted)
    settings = config(tmp_path)
    report = pipeline.run(plan_run(settings, requirements.require(settings)), command="test")
    assert report.floor is not None
    assert built == {"fake_model": 1, "fake_tracker": 1}


def test_a_generator_belongs_to_one_plan_and_a_tracker_to_all() -> None:
    builder = Builder()
    first, second = (builder.take("model", {"name": "fake_model"}) for _ in range(2))
    assert first is not second
    assert builder.build("tracker", {"name": "fake_tracker"}) is builder.build(
        "tracker", {"name": "fake_tracker"}
    )
