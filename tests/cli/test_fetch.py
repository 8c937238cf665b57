from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_lists_files_with_licence_and_state(cli: Cli) -> None:
    ran = cli("fetch")
    assert ran.code == 0
    assert "cotracker3_online" in ran.out
    assert "CC BY-NC 4.0" in ran.out
    assert "absent" in ran.out


def test_unknown_hash_and_offline_are_exit_code_3(cli: Cli) -> None:
    ran = cli("fetch", "cotracker3_offline")
    assert ran.code == 3
    assert "sha256=HASH" in ran.err
    ran = cli("fetch", "cotracker3_offline", f"sha256={'0' * 64}")
    assert ran.code == 3
    assert "TORAEVAL_OFFLINE forbids" in ran.err


def test_a_file_put_there_by_hand_is_confirmed(cli: Cli, cache: Path) -> None:
    cache.mkdir()
    (cache / "cotracker3_scaled_offline.pth").write_bytes(b"weights")
    ran = cli("fetch", "cotracker3_offline", f"sha256={hashlib.sha256(b'weights').hexdigest()}")
    assert ran.code == 0
    assert "scaled_offline.pth" in cli("fetch").out


def test_parts_can_be_named_instead_of_files(cli: Cli) -> None:
    assert "nothing to download" in cli("fetch", "tracker=lucas_kanade").out
    assert "sha256=HASH" in cli("fetch", "tracker=cotracker3_online").err
    assert cli("fetch", "tracker=cotraker3_online").code == 2


@pytest.mark.parametrize("arguments", [("cotracker4",), ("shaa256=1",), ("a", "b", "sha256=1"), ("--force",)])
def test_wrong_arguments(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("fetch", *arguments).code == 2
