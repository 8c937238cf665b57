"""Learning rates and sampling steps are chosen by the same rule for every model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from toraeval.models.shared.network.config import STDiTConfig
from toraeval.suites.shapes.suite import Shapes
from toraeval.training.engine.command import parse, run_command
from toraeval.training.engine.settings import TrainConfig
from toraeval.training.engine.tables import read_rows
from toraeval.training.recipes import choose_steps, tune
from toraeval.types import Case, UserError, Video


class Drawn:
    """Shows the true clip, later than it should: the fewer steps, the later."""

    name = "drawn"

    def __init__(self, late: int) -> None:
        self.late = late

    def generate(self, case: Case, seed: int) -> Video:
        assert case.reference is not None
        frames = case.reference().video.thwc
        order = np.clip(np.arange(case.frames) - self.late, 0, None)
        return Video.from_thwc(frames[order], case.fps)


def test_the_lowest_error_wins_and_of_equal_ones_the_fewest_steps() -> None:
    cases = Shapes("validation", 1).cases(33, 128, 128)
    rows = choose_steps.compare(lambda steps: Drawn({1: 4, 2: 0, 4: 0, 8: 1}[steps]), [1, 2, 4, 8], cases)
    found = [float(str(row["traj_error"])) for row in rows]
    assert found[1] == found[2] < found[3] < found[0]
    assert [row["chosen"] for row in rows] == [0, 1, 0, 0]
    assert [row["steps"] for row in rows] == [1, 2, 4, 8]


def test_candidates_below_one_are_refused() -> None:
    with pytest.raises(UserError, match=r"cases=16 candidates=\[0\]; allowed"):
        choose_steps.choose(choose_steps.Options(candidates=[0]))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tiny_size: STDiTConfig) -> list[TrainConfig]:
    """Runs that are not made: each leaves a state whose validation loss grows with its learning rate."""
    made: list[TrainConfig] = []

    def train(config: TrainConfig) -> None:
        import torch

        made.append(config)
        out = Path(config.out)
        out.mkdir(parents=True)
        losses = {"fast": 100 * config.lr_matrix, "slow": 0.5, "all": 1.0 + config.lr_matrix}
        state = {"clips": config.samples, "step": 9, "seconds": 3.2, "validation": losses}
        torch.save(state, out / "state.pt")

    monkeypatch.setattr(tune.nano, "train", train)
    monkeypatch.setattr(tune, "prepare", lambda *_: None)
    return made


def test_every_rate_is_tried_once_and_the_lowest_loss_wins(
    trained: list[TrainConfig], tmp_path: Path
) -> None:
    options = tune.Options(folder=str(tmp_path), samples=500, table=str(tmp_path / "table.csv"))
    tune.tune(options)
    assert [c.lr_matrix / 2e-3 for c in trained] == [c.lr_other / 1e-3 for c in trained] == [0.5, 1.0, 2.0]
    assert {(c.samples, c.seed, c.model, c.validation_share) for c in trained} == {(500, 0, "tora", 1.0)}
    rows = read_rows(tmp_path / "table.csv")
    assert [row["chosen"] for row in rows] == ["1", "0", "0"]
    assert [row["validation_all"] for row in rows] == ["1.001", "1.002", "1.004"]
    assert not list(tmp_path.rglob("state.pt"))
    tune.tune(options)
    assert len(trained) == 3  # finished runs are taken as they are
    tune.tune(replace(options, tries=1))
    assert [row["rate"] for row in read_rows(tmp_path / "table.csv")] == ["1.0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tries=0"], "tries=0; allowed: 1 and more"),
        (["tries=many"], "options: model, tries"),
        (["trys=3"], "options: model, tries"),
        (["model=none"], "unknown model to train 'none'"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(tune.Options, tune.tune, arguments) == UserError.exit_code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_options_keep_their_types() -> None:
    read: Callable[..., tune.Options] = partial(parse, tune.Options)
    assert read(["model=dragnuwa", "tries=5", "folder=a b"]) == tune.Options("dragnuwa", 5, folder="a b")
    assert parse(choose_steps.Options, ["candidates=[1,3]"]).candidates == [1, 3]
