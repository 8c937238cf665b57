from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toraeval import assets
from toraeval.assets import cache as cache_folder
from toraeval.assets import table
from toraeval.types import MissingAsset, UserError

GOOD = hashlib.sha256(b"good").hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    made = {
        "known": assets.Asset("https://example.invalid/known", "known.bin", GOOD, "Apache-2.0", 1, "tests"),
        "unstated": assets.Asset("https://example.invalid/u", "u.bin", None, "CC BY-NC 4.0", None, "tests"),
    }
    monkeypatch.setattr(table, "ASSETS", made)
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


class FakeHub:
    """A repository on the hub: what `HfApi` tells and `hf_hub_download` gives."""

    def __init__(self, files: dict[str, bytes], commit: str = "c" * 40) -> None:
        self.files, self.commit, self.loaded, self.asked = files, commit, [], []
        self.damaged: set[str] = set()
        self.card_data: dict[str, str] | None = {"license": "apache-2.0"}

    @property
    def sha(self) -> str:
        return self.commit

    @property
    def siblings(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                rfilename=name,
                size=len(content),
                lfs=None
                if name.endswith(".json")
                else SimpleNamespace(sha256=hashlib.sha256(content).hexdigest()),
            )
            for name, content in self.files.items()
        ]

    def model_info(self, repo: str, revision: str | None, files_metadata: bool) -> FakeHub:
        assert files_metadata
        self.asked.append(revision)
        if revision == "nowhere":
            raise OSError("404 Client Error:\nRevision Not Found")
        return self

    def download(self, repo: str, filename: str, revision: str, local_dir: Path) -> str:
        assert revision == self.commit
        self.loaded.append(filename)
        target = local_dir / filename
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"cut" if filename in self.damaged else self.files[filename])
        return str(target)


SNAPSHOTS = {
    "net": assets.Snapshot("owner/net", "Apache-2.0", 1, "tests"),
    "part": assets.Snapshot(
        "owner/part", "CogVideoX License", 1, "tests", ("sat/i2v/*.pt",), "net", "sat/i2v/"
    ),
    "mixed": assets.Snapshot("owner/mixed", "Apache-2.0", 1, "tests", pickles=True),
}
FILES = {
    "config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"same weights", "README.md": b"#",
    "vae/w.bin": b"vae",
}  # fmt: skip


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    import huggingface_hub

    fake = FakeHub(dict(FILES))
    monkeypatch.setattr(table, "ASSETS", SNAPSHOTS)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.download)
    monkeypatch.setenv("TORAEVAL_OFFLINE", "0")
    return fake


def test_snapshot_is_loaded_once_and_locked(hub: FakeHub, cache: Path) -> None:
    with pytest.raises(
        MissingAsset, match=r"net is missing; run: python -m toraeval fetch net \(licence: Apache"
    ):
        assets.path("net")
    said: list[str] = []
    assert assets.fetch("net", say=said.append) == cache / "net"
    assert hub.loaded == ["config.json", "model.safetensors", "vae/w.bin"]
    assert "apache-2.0" in said[0]
    lock = json.loads((cache / assets.LOCK_FILE).read_text())["net"]
    assert lock["revision"] == hub.commit
    assert lock["files"]["model.safetensors"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert assets.path("net") == assets.fetch("net") == cache / "net"
    assert len(hub.asked) == 1
    assert assets.locked_revision("net") == hub.commit


def test_pickles_beside_safetensors_are_taken_where_they_are_other_networks(hub: FakeHub) -> None:
    assets.fetch("mixed")
    assert hub.loaded == ["config.json", "model.safetensors", "pytorch_model.bin", "vae/w.bin"]


def test_locked_commit_holds_until_another_is_named(hub: FakeHub, cache: Path) -> None:
    assets.fetch("net")
    (cache / "net" / "vae" / "w.bin").unlink()
    with pytest.raises(MissingAsset, match=r"w\.bin is missing"):
        assets.path("net")
    assets.fetch("net")
    assert hub.asked == [None, "c" * 40]
    assert hub.loaded[3:] == ["config.json", "vae/w.bin"]
    hub.commit, hub.files["vae/w.bin"] = "d" * 40, b"newer"
    assets.fetch("net")
    assert len(hub.asked) == 2
    assets.fetch("net", revision="v2")
    assert assets.locked_revision("net") == "d" * 40
    assert (cache / "net" / "vae" / "w.bin").read_bytes() == b"newer"


def test_changed_files_are_noticed(hub: FakeHub, cache: Path) -> None:
    assets.fetch("net")
    (cache / "net" / "model.safetensors").write_bytes(b"WEIGHTS")
    os.utime(cache / "net" / "model.safetensors", ns=(1, 1))
    with pytest.raises(
        MissingAsset, match=r"model\.safetensors has SHA-256 .* locked is .*; delete it and run"
    ):
        assets.path("net")


def test_what_the_hub_states_must_arrive(hub: FakeHub, cache: Path) -> None:
    hub.damaged = {"model.safetensors"}
    with pytest.raises(MissingAsset, match=r"model\.safetensors does not have the SHA-256"):
        assets.fetch("net")
    assert not (cache / "net" / "model.safetensors").exists()
    assert not (cache / assets.LOCK_FILE).exists()
    hub.damaged = set()
    assets.fetch("net")
    assert hub.loaded[3:] == ["config.json", "model.safetensors"]


def test_locked_small_files_must_stay_the_same(hub: FakeHub, cache: Path) -> None:
    assets.fetch("net")
    (cache / "net" / "config.json").unlink()
    hub.files["config.json"] = b"{1}"
    with pytest.raises(MissingAsset, match=r"config\.json does not have the SHA-256"):
        assets.fetch("net")


def test_snapshots_can_share_a_folder(hub: FakeHub, cache: Path) -> None:
    assets.fetch("net")
    hub.files = {"sat/i2v/states.pt": b"sat", "sat/t2v/states.pt": b"other"}
    assert assets.fetch("part") == cache / "net"
    assert (cache / "net" / "states.pt").read_bytes() == b"sat"
    assert assets.path("part") == assets.path("net")


def test_snapshots_fail_in_one_line(hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        MissingAsset, match=r"failed: 404 Client Error: Revision Not Found; what is loaded is kept"
    ):
        assets.fetch("net", revision="nowhere")
    with pytest.raises(UserError, match="pin it with revision=COMMIT"):
        assets.fetch("net", sha256=GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2))
        with pytest.raises(UserError, match=r"downloading net needs .* GB free"):
            assets.fetch("net")
    assert hub.loaded == []
    hub.files = {"README.md": b"#"}
    with pytest.raises(UserError, match="holds no weights"):
        assets.fetch("net")
    hub.files = {"../evil.bin": b"x"}
    with pytest.raises(UserError, match="outside its folder"):
        assets.fetch("net")
    monkeypatch.setenv("TORAEVAL_OFFLINE", "1")
    with pytest.raises(MissingAsset, match="TORAEVAL_OFFLINE forbids"):
        assets.fetch("net")


def test_hashes_are_remembered_until_a_file_changes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cache / "big.bin"
    file.write_bytes(b"good")
    assert assets.remembered_sha256(file) == GOOD
    with monkeypatch.context() as patch:
        patch.setattr(cache_folder, "file_sha256", lambda _: pytest.fail("hashed again"))
        assert assets.remembered_sha256(file) == GOOD
    file.write_bytes(b"better")
    assert assets.remembered_sha256(file) == hashlib.sha256(b"better").hexdigest()
    (cache / "hashes.json").write_text("{")
    assert assets.remembered_sha256(file) == hashlib.sha256(b"better").hexdigest()
