from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from toraeval import assets
from toraeval.types import MissingAsset, UserError

GOOD = hashlib.sha256(b"good").hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    table = {
        "known": assets.Asset("https://example.invalid/known", "known.bin", GOOD, "Apache-2.0", 1, "tests"),
        "unstated": assets.Asset("https://example.invalid/u", "u.bin", None, "CC BY-NC 4.0", None, "tests"),
    }
    monkeypatch.setattr(assets, "ASSETS", table)
    return tmp_path


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    import pooch

    calls: list[str] = []

    def retrieve(url: str, known_hash: str, fname: str, path: Path, progressbar: bool) -> None:
        calls.append(known_hash)
        (Path(path) / fname).write_bytes(b"good")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("TORAEVAL_OFFLINE", "0")
    return calls


def test_missing_files_name_the_command_and_the_licence(cache: Path) -> None:
    with pytest.raises(MissingAsset, match=r"fetch known .*Apache-2.0") as info:
        assets.path("known")
    assert info.value.exit_code == 3
    with pytest.raises(MissingAsset, match=r"fetch unstated sha256=HASH"):
        assets.path("unstated")


def test_files_are_checked_whenever_they_are_used(cache: Path) -> None:
    (cache / "known.bin").write_bytes(b"good")
    assert assets.path("known") == cache / "known.bin"
    (cache / "known.bin").write_bytes(b"evil")
    with pytest.raises(MissingAsset, match=r"expected.*delete it"):
        assets.path("known")


def test_a_file_without_a_published_hash_needs_the_users_word(cache: Path, downloads: list[str]) -> None:
    (cache / "u.bin").write_bytes(b"good")
    with pytest.raises(MissingAsset, match=r"confirm it with"):
        assets.path("unstated")
    with pytest.raises(MissingAsset, match=rf"no SHA-256.*{GOOD}"):
        assets.fetch("unstated")
    assert assets.fetch("unstated", sha256=GOOD.upper()) == cache / "u.bin"
    assert assets.path("unstated") == cache / "u.bin"
    assert downloads == []


def test_fetch_downloads_once_with_the_hash(cache: Path, downloads: list[str]) -> None:
    assets.fetch("known")
    assets.fetch("known")
    assert downloads == [f"sha256:{GOOD}"]


def test_offline_forbids_downloads(
    cache: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORAEVAL_OFFLINE", "1")
    with pytest.raises(MissingAsset, match=r"TORAEVAL_OFFLINE forbids"):
        assets.fetch("known")
    assert downloads == []


def test_failed_downloads_are_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("SHA256 hash of downloaded file\ndoes not match")

    monkeypatch.setattr(pooch, "retrieve", fails)
    monkeypatch.setenv("TORAEVAL_OFFLINE", "0")
    with pytest.raises(
        MissingAsset, match=r"failed: SHA256 hash of downloaded file does not match; try again"
    ):
        assets.fetch("known")


def test_wrong_names_and_hashes_are_refused(cache: Path) -> None:
    with pytest.raises(UserError, match=r"Did you mean 'known'"):
        assets.get("knwn")
    with pytest.raises(UserError, match=r"differs from the table"):
        assets.fetch("known", sha256="0" * 64)


def test_real_table_states_source_and_licence() -> None:
    for asset in assets.ASSETS.values():
        assert asset.url.startswith("https://")
        assert asset.licence
        if isinstance(asset, assets.Asset):
            assert asset.sha256 is None or len(asset.sha256) == 64
