from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from toraeval.config.training import KINDS, TASKS
from toraeval.config.training_tasks import (
    EvaluateOptions,
    LongRunOptions,
    StepsOptions,
    TrialsOptions,
    TuneOptions,
    ValidateOptions,
)
from toraeval.config.trainings import (
    ClipNetOptions,
    NanoOptions,
    PairNetOptions,
    TrackerOptions,
    TrainingOptions,
)

Cli = Callable[..., Any]


def test_options_reach_the_training_package(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from toraeval.training.recipes import train

    seen: list[Any] = []
    monkeypatch.setattr(train, "main", lambda options: seen.append(options) or 0)
    assert cli("train", "model=tora", "size=nano", "minutes=1.5", "folder=state").code == 0
    assert seen == [NanoOptions(minutes=1.5, folder="state")]


@pytest.mark.parametrize(
    ("arguments", "target", "expected"),
    [
        (["model=shapes_tracker"], "tracker.main", TrackerOptions("shapes_tracker")),
        (["model=shapes_clip", "batch=8"], "metric_nets.main", PairNetOptions("shapes_clip", batch=8)),
        (["model=shapes_video"], "metric_nets.main", ClipNetOptions("shapes_video")),
        (["task=tune", "tries=5"], "train.tune", TuneOptions(task="tune", tries=5)),
        (
            ["task=steps", "model=dragnuwa", "candidates=[1,3]"],
            "evaluate.choose_steps",
            StepsOptions("dragnuwa", task="steps", candidates=[1, 3]),
        ),
        (["task=validate"], "validation.main", ValidateOptions(task="validate")),
        (
            ["task=evaluate", "averaged=true"],
            "evaluate.follow",
            EvaluateOptions(task="evaluate", averaged=True),
        ),
        (
            ["task=trials", "part=1", "parts=2"],
            "trials.run",
            TrialsOptions(task="trials", part=1, parts=2),
        ),
        (["task=long_run", "status=true"], "long_run.run", LongRunOptions(task="long_run", status=True)),
    ],
)
def test_every_training_and_task_is_reached(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    target: str,
    expected: TrainingOptions,
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(f"toraeval.training.recipes.{target}", lambda options: seen.append(options) or 0)
    assert cli("train", *arguments, f"folder={tmp_path}").code == 0
    assert seen == [replace(expected, folder=str(tmp_path))]


def test_help_tells_every_option_with_its_default(cli: Cli) -> None:
    text = cli("train", "--help").out
    for line in ("Options of task=trials:", "  minutes=15.0  ", "  candidates=[1,2,4,8] ", "  task=train "):
        assert line in text
    for kind in (*KINDS.values(), *TASKS.values()):
        own = {f.name for f in fields(kind)}
        assert [name for name in own if f"  {name}=" not in text] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=unet"], "unknown training 'model=unet'"),
        (["model=motionctrl", "size=tiny"], "unknown training 'model=motionctrl size=tiny'"),
        (["task=tun"], "unknown training 'task=tun'. Did you mean 'task=tune'"),
        (
            ["task=tune", "model=shapes_clip"],
            "task=tune with model=shapes_clip size=nano; allowed: model=tora, ",
        ),
        (["task=tune", "tries=0"], "tries=0; allowed: at least 1"),
        (
            ["model=shapes_clip", "points=3"],
            "points=3 belongs to model=shapes_tracker; got model=shapes_clip",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(cli: Cli, arguments: list[str], message: str, tmp_path: Path) -> None:
    ran = cli("train", *arguments, f"folder={tmp_path}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert message in ran.err


@pytest.mark.parametrize("argument", ["mintes=3", "minutes=long", "size=huge"])
def test_wrong_options(cli: Cli, argument: str) -> None:
    ran = cli("train", argument, "folder=state")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_named_values_are_given_at_once(cli: Cli) -> None:
    ran = cli("train", "size=tiny", "cut.resize=area", "folder=state")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'cut={resize: VALUE}'" in ran.err


def test_full_sizes_reach_their_own_training(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from toraeval.training.recipes import full_size

    seen: list[Any] = []
    monkeypatch.setattr(full_size, "main", lambda options: seen.append(options) or 0)
    settings = ("stage_steps=[3,4]", "buckets={240p: {51: [0.5, 4]}}", "trainable=all", "folder=state")
    assert cli("train", "size=xl2", *settings).code == 0
    assert (seen[0].stage_steps, seen[0].buckets) == ([3, 4], {"240p": {51: [0.5, 4]}})


def test_options_of_another_size_are_refused(cli: Cli) -> None:
    ran = cli("train", "size=nano", "trainable=all", "folder=state")
    assert ran.code == 2
    assert "trainable=all belongs to model=tora size=xl2, model=tora size=tiny; got model=tora" in ran.err
