"""Following a run: its saved state generates, from its weights or from their average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.tora.generator import Tora
from toraeval.suites.shapes.suite import Shapes
from toraeval.training.recipes import evaluate
from toraeval.training.recipes.nano import TrainConfig, Trainer
from toraeval.types import Video


@pytest.fixture
def trainer(tmp_path: Path, vae_path: Path, tiny_size: STDiTConfig) -> Trainer:
    trainer = Trainer(TrainConfig(data=str(tmp_path), out=str(tmp_path), vae=str(vae_path), workers=1))
    trainer.clips = 7
    for value in trainer.average.values():
        value.mul_(0.5)
    trainer.save()
    return trainer


@pytest.mark.parametrize("average", [False, True])
def test_a_state_is_loaded_and_generates(trainer: Trainer, vae_path: Path, average: bool) -> None:
    generator, clips = evaluate.load_state(trainer.out, vae_path, average, {"steps": 1})
    assert clips == 7
    assert isinstance(generator, Tora)
    one = Shapes("validation", 1).cases(6, 64, 64)[0]
    assert generator.generate(one, 0).frames_TCHW.shape == (6, 3, 64, 64)
    loaded, _ = generator._made._loaded  # type: ignore[union-attr,misc]
    saved = trainer.average if average else trainer.model.state_dict()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, saved[name].to(torch.bfloat16).to(value.dtype)), name


def test_errors_tell_a_perfect_clip_from_a_still_one() -> None:
    case = Shapes("validation", 1).cases(9, 128, 128)[0]
    assert case.reference is not None
    perfect = case.reference().video
    still = Video.from_thwc(np.repeat(perfect.thwc[:1], 9, 0), 8.0)
    assert evaluate.errors(case, perfect) < 0.5
    target = case.trajectories.tracks_NT2
    expected = np.abs(target[:, 1:] - target[:, :1]).sum(-1).mean()
    assert abs(evaluate.errors(case, still) - expected) < 0.5
