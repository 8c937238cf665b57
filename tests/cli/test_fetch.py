from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toraeval import assets

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


def test_options_decide_what_a_model_needs(cli: Cli) -> None:
    assert (
        "nothing to download by default; there are downloads for size=xl2" in cli("fetch", "model=tora").out
    )
    assert "nothing to download" in cli("fetch", "model=tora", "size=nano").out
    ran = cli("fetch", "model=tora", "size=xl2")
    assert ran.code == 3
    assert "opensora_stdit_v3: https://huggingface.co/hpcai-tech/OpenSora-STDiT-v3 (Apache-2.0" in ran.out
    assert "about 4.8 GB" in ran.out
    assert "TORAEVAL_OFFLINE forbids" in ran.err
    assert "Tora_T2V_diffusers (CogVideoX License" in cli("fetch", "model=tora_cogvideox").out
    assert "tora_cogvideox_i2v" in cli("fetch", "model=tora_cogvideox", "variant=i2v").out


def test_all_parts_are_fetched(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[tuple[str, str | None]] = []
    monkeypatch.setattr(assets, "fetch", lambda name, sha256, revision, say: fetched.append((name, revision)))
    assert cli("fetch", "model=tora", "size=xl2").code == 0
    assert fetched == [("opensora_stdit_v3", None), ("opensora_vae_v1_2", None), ("t5_v1_1_xxl", None)]
    assert cli("fetch", "t5_v1_1_xxl", "revision=abc").code == 0
    assert fetched[3:] == [("t5_v1_1_xxl", "abc")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("model=tora", "size=xl3"),
        ("model=tora", "variant=t2v"),
        ("size=xl2",),
        ("model=tora", "size=xl2", "revision=a"),
    ],
)
def test_wrong_options(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("fetch", *arguments).code == 2


def test_the_authors_code_is_explained_before_its_weights_are_fetched(cli: Cli, cache: Path) -> None:
    ran = cli("fetch", "model=motionctrl", "size=upstream")
    assert ran.code == 3
    assert "https://github.com/TencentARC/MotionCtrl at 6242d55414d3f4ad690bf0934889660f78e81b6e" in ran.out
    assert f"git clone https://github.com/TencentARC/MotionCtrl {cache}/motionctrl_checkout" in ran.out
    assert "TORAEVAL_OFFLINE forbids downloading https://huggingface.co/TencentARC/MotionCtrl" in ran.err
