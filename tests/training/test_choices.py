"""Learning rates and sampling steps are chosen by the same rule for every model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toraeval.config.training_tasks import StepsOptions, TuneOptions
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.store.sealed import write_json
from toraeval.suites.shapes.suite import Shapes
from toraeval.training.engine.log import read_rows
from toraeval.training.recipes import evaluate, nano, train
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import MEASURES
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
    cases = Shapes("validation", 2).cases(33, 128, 128)[1:]
    rows = evaluate.compare(lambda steps: Drawn({1: 4, 2: 0, 4: 0, 8: 1}[steps]), [1, 2, 4, 8], cases)
    found = [float(str(row["traj_error"])) for row in rows]
    assert found[1] == found[2] < found[3] < found[0]
    assert [row["chosen"] for row in rows] == [0, 1, 0, 0]
    assert [row["steps"] for row in rows] == [1, 2, 4, 8]


def test_candidates_below_one_are_refused() -> None:
    with pytest.raises(UserError, match=r"candidates=\[0\]; allowed"):
        evaluate.choose_steps(StepsOptions(candidates=[0]))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tiny_size: STDiTConfig) -> list[NanoRecipe]:
    """Runs that are not made: each leaves a result whose validation loss grows with its learning rate."""
    made: list[NanoRecipe] = []

    def left(recipe: NanoRecipe, ending: nano.Ending) -> int:
        made.append(recipe)
        assert not ending.keep
        losses = {"fast": 100 * recipe.lr_matrix, "slow": 0.5, "all": 1.0 + recipe.lr_matrix}
        facts = {"clips": recipe.samples, "steps": 9, "seconds": 3.2, "last_loss": 0.5}
        write_json(Path(recipe.out) / "result.json", facts | dict.fromkeys(MEASURES, 1.0) | losses)
        return 0

    monkeypatch.setattr(nano, "train", left)
    monkeypatch.setattr(train, "prepare_for", lambda *_: None)
    return made


def test_every_rate_is_tried_once_and_the_lowest_loss_wins(trained: list[NanoRecipe], tmp_path: Path) -> None:
    options = TuneOptions(folder=str(tmp_path), samples=500, table=str(tmp_path / "table.csv"))
    train.tune(options)
    assert [c.lr_matrix / 4e-3 for c in trained] == [c.lr_other / 2e-3 for c in trained] == [0.5, 1.0, 2.0]
    assert {(c.samples, c.seed, c.model, c.validation_share) for c in trained} == {(500, 0, "tora", 1.0)}
    rows = read_rows(tmp_path / "table.csv")
    assert [row["chosen"] for row in rows] == ["1", "0", "0"]
    assert [row["validation_all"] for row in rows] == ["1.002", "1.004", "1.008"]
    train.tune(options)
    assert len(trained) == 3  # finished runs are taken as they are
    train.tune(replace(options, tries=1))
    assert [row["rate"] for row in read_rows(tmp_path / "table.csv")] == ["1.0"]
