from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toraeval import optional


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    optional.probe.cache_clear()
    return tmp_path


def test_absent_and_broken_are_told_apart(modules: Path) -> None:
    (modules / "breaks_like_torchvision.py").write_text("raise RuntimeError('operator nms\\ndoes not exist')")
    (modules / "breaks_like_a_binary.py").write_text("raise OSError('libx.so')")
    (modules / "needs_another.py").write_text("import not_there_at_all")
    assert optional.probe("not_there_at_all").absent
    for name, reason in (
        ("breaks_like_torchvision", "broken: operator nms does not exist"),
        ("breaks_like_a_binary", "broken: libx.so"),
        ("needs_another", "broken: No module named 'not_there_at_all'"),
    ):
        found = optional.probe(name)
        assert not found.ok
        assert not found.absent
        assert found.reason == reason


def test_outcome_is_remembered(modules: Path) -> None:
    assert not optional.probe("comes_later").ok
    (modules / "comes_later.py").write_text("")
    assert not optional.probe("comes_later").ok


def test_the_command_fits_a_clone_and_an_installed_wheel(tmp_path: Path) -> None:
    assert optional.install_command("clip") == "pip install -e '.[clip]'"
    assert optional.install_command("clip", tmp_path) == "pip install 'toraeval[clip]'"
    assert optional.install_command(None, tmp_path) == "pip install 'toraeval'"


def test_require_names_feature_reason_and_cure(modules: Path) -> None:
    (modules / "broken_one.py").write_text("raise ImportError('bad wheel')")
    with pytest.raises(
        optional.MissingDependency, match=r"metric x needs .*pip install -e '\.\[clip\]'"
    ) as info:
        optional.require("absent_one", "metric x", "clip")
    assert info.value.exit_code == 3
    with pytest.raises(optional.MissingDependency, match=r"bad wheel.*pip uninstall broken_one"):
        optional.require("broken_one", "metric x")


def test_working_modules_come_back_with_their_version() -> None:
    assert optional.require("numpy", "anything") is sys.modules["numpy"]
    assert optional.probe("cv2").version
