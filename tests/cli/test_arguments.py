from __future__ import annotations

import pytest

from toraeval.cli.arguments import split
from toraeval.types import UserError


def test_words_pairs_and_flags() -> None:
    words, values = split("show", ["a", "key=v=1", "--flag", "+other="], {"key": "", "other": "x"}, ("flag",))
    assert words == ["a"]
    assert values == {"key": "v=1", "other": "", "flag": "true"}


@pytest.mark.parametrize("argument", ["kye=1", "--flga"])
def test_wrong_names_get_suggestions(argument: str) -> None:
    with pytest.raises(UserError, match=r"Did you mean"):
        split("show", [argument], {"key": ""}, ("flag",))
