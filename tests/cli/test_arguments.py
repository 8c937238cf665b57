from __future__ import annotations

from pathlib import Path

import pytest

from toraeval.cli.arguments import split
from toraeval.types import UserError


def test_words_pairs_and_flags() -> None:
    words, values = split(
        "show", ["a", "key=v=1", "--flag", "+other=y"], {"key": "", "other": "x"}, ("flag",)
    )
    assert words == ["a"]
    assert values == {"key": "v=1", "other": "y", "flag": "true"}


@pytest.mark.parametrize("argument", ["key=", "key=null", ""])
def test_nothing_where_a_value_or_a_word_is_due(argument: str) -> None:
    with pytest.raises(UserError, match=r"key=(null)? gives no value|one of the words is empty"):
        split("show", [argument], {"key": "x"})


def test_a_folder_may_be_called_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "null").mkdir()
    assert split("show", ["key=null"], {"key": "x"})[1] == {"key": "null"}


@pytest.mark.parametrize("argument", ["kye=1", "--flga"])
def test_wrong_names_get_suggestions(argument: str) -> None:
    with pytest.raises(UserError, match=r"Did you mean"):
        split("show", [argument], {"key": ""}, ("flag",))
