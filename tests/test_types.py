"""Words that go with numbers in messages."""

from __future__ import annotations

import pytest

from toraeval.types import be, counted


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [
        (0, "case", "0 cases are"),
        (1, "case", "1 case is"),
        (2, "case", "2 cases are"),
        (1, "worker process", "1 worker process is"),
        (2, "box", "2 boxes are"),
        (3, "worker process", "3 worker processes are"),
    ],
)
def test_a_number_agrees_with_its_noun_and_verb(count: int, noun: str, told: str) -> None:
    assert f"{counted(count, noun)} {be(count)}" == told
