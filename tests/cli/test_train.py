from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_options_reach_the_training_package(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from toraeval.training.recipes import train

    seen: list[Any] = []
    monkeypatch.setattr(train, "main", lambda options: seen.append(train.TrainConfig(**options)) or 0)
    assert cli("train", "model=tora", "size=nano", "minutes=1.5", "folder=state").code == 0
    assert (seen[0].minutes, seen[0].folder) == (1.5, "state")


@pytest.mark.parametrize("argument", ["mintes=3", "minutes=long", "size=huge"])
def test_wrong_options(cli: Cli, argument: str) -> None:
    ran = cli("train", argument, "folder=state")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_named_values_are_given_at_once(cli: Cli) -> None:
    ran = cli("train", "size=tiny", "cut.resize=area", "folder=state")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'cut={resize: VALUE}'" in ran.err


def test_full_sizes_reach_their_own_training(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from toraeval.config import TrainConfig
    from toraeval.training.recipes import full_size

    seen: list[Any] = []
    monkeypatch.setattr(full_size, "main", lambda options: seen.append(TrainConfig(**options)) or 0)
    settings = ("stage_steps=[3,4]", "buckets={240p: {51: [0.5, 4]}}", "trainable=all", "folder=state")
    assert cli("train", "size=xl2", *settings).code == 0
    assert (seen[0].stage_steps, seen[0].buckets) == ([3, 4], {"240p": {51: [0.5, 4]}})


def test_options_of_another_size_are_refused(cli: Cli) -> None:
    ran = cli("train", "size=nano", "trainable=all", "folder=state")
    assert ran.code == 2
    assert "trainable=all belongs to size=xl2 and size=tiny" in ran.err
