"""The trajectory extractor against numbers recorded from Tora's release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.parity_data import allowance, read_arrays
from toraeval.models.shared.network.extractor import TrajectoryExtractor

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "tora" / "traj_extractor_tiny_a.npz")


@pytest.fixture
def extractor(golden: Golden) -> TrajectoryExtractor:
    module = TrajectoryExtractor(16, 12, stages=3, blocks_per_stage=2)
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("sd/")}
    module.load_state_dict(state, strict=True)
    return module


def close(features: list[Tensor], golden: Golden, case: str) -> None:
    assert len(features) == 3
    for i, feature in enumerate(features):
        expected = torch.from_numpy(golden[f"{case}/feature{i}"]).flatten(2).transpose(1, 2)
        torch.testing.assert_close(feature.flatten(0, 1), expected, rtol=0, atol=allowance(expected))


@torch.no_grad()
@pytest.mark.parametrize("case", ["case0", "case1"])
def test_recorded_features(golden: Golden, extractor: TrajectoryExtractor, case: str) -> None:
    close(extractor.eval()(torch.from_numpy(golden[f"{case}/x"])), golden, case)


@torch.no_grad()
def test_recorded_training_mode_and_running_statistics(
    golden: Golden, extractor: TrajectoryExtractor
) -> None:
    close(extractor.train()(torch.from_numpy(golden["case0/x"])), golden, "train_case0")
    after = {k.removeprefix("train_case0/after/"): v for k, v in golden.items() if "/after/" in k}
    state = extractor.state_dict()
    for name, value in after.items():
        torch.testing.assert_close(state[name], torch.from_numpy(value), rtol=0, atol=allowance(value))


@torch.no_grad()
def test_shapes_of_the_embedded_kind() -> None:
    module = TrajectoryExtractor(8, 6, stages=4, blocks_per_stage=1, batch_norm=False)
    features = module(torch.randn(2, 8, 3, 5, 7))
    assert [tuple(f.shape) for f in features] == [(2, 3, 12, 6)] * 4
    assert not any("bn" in name for name in module.state_dict())


@torch.no_grad()
def test_frames_and_clips_do_not_mix_without_batch_norm() -> None:
    module = TrajectoryExtractor(8, 6, stages=2, blocks_per_stage=1, batch_norm=False)
    latents = torch.randn(2, 8, 3, 4, 4)
    alone = module(latents[1:, :, 2:])
    for whole, part in zip(module(latents), alone, strict=True):
        torch.testing.assert_close(whole[1:, 2:], part, rtol=0, atol=1e-5)
