"""Following a run: its saved state generates, from its weights or from their average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import interrupted
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.tora.nano import NanoTora
from toraeval.suites.shapes.suite import Shapes
from toraeval.training.engine.distributed import processes
from toraeval.training.recipes import evaluate, nano
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.types import Video


@pytest.mark.parametrize("averaged", [False, True])
def test_a_run_is_loaded_and_generates(
    tmp_path: Path, shards: Path, vae_path: Path, tiny_size: STDiTConfig, averaged: bool
) -> None:
    lengths = {17: 1.0}
    recipe = NanoRecipe(data=str(shards), out=str(tmp_path), vae=str(vae_path), workers=1, steps=9, tokens=320,
                        lengths=lengths, late_lengths=lengths)  # fmt: skip
    assert interrupted(lambda: nano.train(recipe), 2) == 130
    generator, clips = evaluate.load_state(tmp_path, averaged, {"steps": 1})
    assert clips > 0
    assert isinstance(generator, NanoTora)
    one = Shapes("validation", 1).cases(6, 64, 64)[0]
    assert generator.generate(one, 0).frames_TCHW.shape == (6, 3, 64, 64)
    assert generator._loaded is not None
    loaded, _ = generator._loaded
    with processes("cpu") as world:
        engine = nano.build(recipe, world)
    saved = dict(engine.model.state_dict()) | (engine.average if averaged else {})
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, saved[name].to(torch.bfloat16).to(value.dtype)), name


def test_errors_tell_a_perfect_clip_from_a_still_one() -> None:
    case = Shapes("validation", 1).cases(9, 256, 256)[0]
    assert case.reference is not None
    perfect = case.reference().video
    still = Video.from_thwc(np.repeat(perfect.thwc[:1], 9, 0), 8.0)
    assert evaluate.errors(case, perfect) < 0.5
    target, shown = case.trajectories.tracks_NT2, case.trajectories.visible_NT[:, 1:]
    expected = np.abs(target[:, 1:] - target[:, :1]).sum(-1)[shown].mean()
    assert abs(evaluate.errors(case, still) - expected) < 0.5
