"""Following a run: its saved state generates, from its weights or from their average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.models.tora.config import STDiTConfig
from toraeval.models.tora.pipeline import SamplingOptions
from toraeval.suites.shapes import Shapes
from toraeval.training import evaluate
from toraeval.training.nano import TrainConfig, Trainer
from toraeval.types import Video


@pytest.fixture
def state(
    tmp_path: Path, vae_path: Path, tiny_size: STDiTConfig, monkeypatch: pytest.MonkeyPatch
) -> tuple[Trainer, Path]:
    monkeypatch.setattr(evaluate, "nano", lambda: tiny_size)
    trainer = Trainer(TrainConfig(out=str(tmp_path), vae=str(vae_path), workers=1))
    trainer.clips = 7
    for value in trainer.average.values():
        value.mul_(0.5)
    trainer.save()
    return trainer, tmp_path / "state.pt"


def test_a_state_is_loaded_and_generates(state: tuple[Trainer, Path], vae_path: Path) -> None:
    trainer, path = state
    averaged, vae, clips = evaluate.load_state(path, vae_path)
    plain, _, _ = evaluate.load_state(path, vae_path, average=False)
    assert clips == 7
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(plain.state_dict()[name], value)
        assert torch.equal(averaged.state_dict()[name], trainer.average[name])
    one = Shapes("validation", 1).cases(6, 64, 64)[0]
    options = SamplingOptions(steps=1)
    video = evaluate.generate(averaged, vae, one, options)
    assert video.frames_TCHW.shape == (6, 3, 64, 64)


def test_errors_tell_a_perfect_clip_from_a_still_one() -> None:
    case = Shapes("validation", 1).cases(9, 128, 128)[0]
    assert case.reference is not None
    perfect = case.reference().video
    still = Video.from_thwc(np.repeat(perfect.thwc[:1], 9, 0), 8.0)
    assert evaluate.errors(case, perfect) < 0.5
    target = case.trajectories.tracks_NT2
    expected = np.abs(target[:, 1:] - target[:, :1]).sum(-1).mean()
    assert abs(evaluate.errors(case, still) - expected) < 0.5
