"""What an option may be: numbers, words, lists of them, and the message for what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from toraeval.allowed import COUNT, POSITIVE, SHARE, Limit, Numbers, check_once, check_option, check_options
from toraeval.types import UserError, one_line


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (None, COUNT),
        (1, COUNT),
        (0.5, POSITIVE),
        (0, SHARE),
        (1.0, SHARE),
        ([1, 2], COUNT),
        ("a", ("a", "b")),
        ("a", {"a": 1}),
    ],
)
def test_what_is_allowed_passes(value: Any, allowed: Limit) -> None:
    check_option("model x", "option", value, allowed)


@pytest.mark.parametrize(
    ("value", "allowed", "told"),
    [
        (0, COUNT, "option=0; allowed: at least 1"),
        (float("inf"), COUNT, "option=inf; allowed: at least 1"),
        (float("nan"), SHARE, "option=nan; allowed: 0 to 1"),
        (0.0, POSITIVE, "option=0.0; allowed: more than 0"),
        (0, Numbers(0, 0.5, above=True), "option=0; allowed: above 0, up to 0.5"),
        (2_000_001, Numbers(64, 2_000_000), "option=2000001; allowed: 64 to 2000000"),
        ([], COUNT, "option=[]; allowed: at least 1"),
        ([1, 0], COUNT, "option=[1, 0]; allowed: at least 1"),
        ("c", ("a", "b"), "option=c; allowed: a, b"),
        (3, (1, 5), "option=3; allowed: 1, 5"),
    ],
)
def test_anything_else_is_refused(value: Any, allowed: Limit, told: str) -> None:
    with pytest.raises(UserError) as caught:
        check_option("model x", "option", value, allowed)
    assert str(caught.value) == f"model x: {told}"


def test_the_first_wrong_option_of_an_object_is_named() -> None:
    options = SimpleNamespace(steps=5, guidance=0.5)
    check_options("model x", options, steps=COUNT)
    with pytest.raises(UserError, match=r"^model x: guidance=0\.5; allowed: at least 1$"):
        check_options("model x", options, steps=COUNT, guidance=COUNT)


def test_an_error_is_told_in_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(KeyError()) == "KeyError"
    assert one_line(ValueError("x" * 300), 10) == "xxxxxxx..."


def test_a_list_that_names_something_twice_is_refused() -> None:
    check_once("bench: frames", [16, 64])
    with pytest.raises(UserError, match=r"^bench: sizes names \[8, 8\] twice; allowed: each once$"):
        check_once("bench: sizes", [[8, 8], [8, 9], [8, 8]])
