from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toraeval.store import keys


def test_digest_does_not_depend_on_the_order_of_keys_or_the_kind_of_sequence() -> None:
    assert keys.digest({"a": 1, "b": [1, 2]}) == keys.digest({"b": (1, 2), "a": 1})
    assert keys.digest({"a": np.float64(0.5)}) == keys.digest({"a": 0.5})


def test_digest_changes_with_any_value() -> None:
    base = {"steps": 10, "weights": "abc"}
    assert (
        len({keys.digest(base), keys.digest(base | {"steps": 11}), keys.digest(base | {"weights": "abd"})})
        == 3
    )
    assert keys.digest("ab", "c") != keys.digest("a", "bc")


def test_objects_without_a_json_form_are_refused() -> None:
    with pytest.raises(TypeError, match=r"no JSON form"):
        keys.digest({"model": object()})


def test_file_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert keys.file_sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")
