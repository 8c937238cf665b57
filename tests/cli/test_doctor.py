from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toraeval import registry
from toraeval.cli import doctor

Cli = Callable[..., Any]


def test_says_what_is_there(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EMBEDDED", (("suite", "shapes"), ("tracker", "lucas_kanade")))
    ran = cli("doctor")
    assert ran.code == 0, ran.out
    for text in (
        "torchvision",
        "absent, as it should be",
        "memory",
        " thread",
        "tracker lucas_kanade",
        "TORAEVAL_OFFLINE",
    ):
        assert text in ran.out


def test_missing_weights_of_the_embedded_model_are_exit_code_3(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from toraeval.models.tora.checkpoints import nano as checkpoint

    monkeypatch.setattr(checkpoint, "weights_path", lambda: tmp_path / "gone.safetensors")
    ran = cli("doctor")
    assert ran.code == 3
    assert "the embedded preset cannot run: model tora: " in ran.out


def test_broken_core_package_is_exit_code_3(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CORE", ("numpy", "not_there"))
    monkeypatch.setattr(doctor, "EMBEDDED", ())
    ran = cli("doctor")
    assert ran.code == 3
    assert "not_there: not installed" in ran.out


def test_optional_parts_do_not_matter(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.register("tracker", "ghost", "tests.fake_parts:Ghost")
    monkeypatch.setattr(doctor, "EMBEDDED", ())
    assert cli("doctor").code == 0
