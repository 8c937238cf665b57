from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_options_reach_the_training_package(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from toraeval.training import train

    seen: list[Any] = []
    monkeypatch.setattr(train, "main", lambda options: seen.append(train.TrainConfig(**options)) or 0)
    assert cli("train", "model=tora", "size=nano", "minutes=1.5", "folder=state").code == 0
    assert (seen[0].minutes, seen[0].folder) == (1.5, "state")


@pytest.mark.parametrize("argument", ["mintes=3", "minutes=long", "size=huge"])
def test_wrong_options(cli: Cli, argument: str) -> None:
    ran = cli("train", argument, "folder=state")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
