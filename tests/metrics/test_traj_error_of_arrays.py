"""`toraeval.metrics.traj_error` on arrays of any library gives the metric's own number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import toraeval
from tests.fake_parts import FakeSuite
from toraeval.metrics import TrajError
from toraeval.types import Tracks, UserError

SIZE = (64, 64)


def wandering(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-4, 68, (3, 9, 2))


def test_it_is_the_metrics_number() -> None:
    case = FakeSuite().cases(9, 64, 64)[0]
    target = case.trajectories.tracks_NT2
    tracked = target + np.random.default_rng(1).normal(0, 2, target.shape)
    visible = np.ones(target.shape[:2], dtype=bool)
    expected = TrajError().score(case, Tracks(tracked, visible)).values
    assert toraeval.metrics.traj_error(tracked, target, SIZE) == expected["traj_error"]
    half = toraeval.metrics.traj_error(tracked[0], target[0], SIZE, reading="final_displacement_error")
    assert half == pytest.approx(float(np.hypot(*(tracked - target)[0, -1])))


@pytest.mark.parametrize("make", [torch.tensor, torch.Tensor.tolist, lambda t: t.requires_grad_()])
def test_every_library_gives_the_same(make: Any) -> None:
    tracked, target = wandering(1), wandering(2)
    expected = toraeval.metrics.traj_error(tracked, target, SIZE)
    asked = [torch.from_numpy(a.copy()) for a in (tracked, target)]
    given = asked if make is torch.tensor else [make(a) for a in asked]
    assert toraeval.metrics.traj_error(*given, SIZE) == expected
    half = [a.detach().to(torch.bfloat16) for a in asked]
    assert toraeval.metrics.traj_error(*half, SIZE) == pytest.approx(expected, rel=0.02)


def test_what_is_hidden_or_off_the_picture_does_not_count() -> None:
    target = np.array([[[5.0, 5], [6, 5], [7, 5], [99, 5]]])
    tracked = target + np.array([0.0, 1]) * np.arange(4)[:, None]
    assert toraeval.metrics.traj_error(tracked, target, SIZE) == 1.5
    hidden = [True, True, False, True]
    target[0, 2] = np.nan
    assert toraeval.metrics.traj_error(tracked, target, SIZE, target_visible=hidden) == 1.0
    assert np.isnan(toraeval.metrics.traj_error(tracked[:, :1], target[:, :1], SIZE))


@pytest.mark.parametrize(
    ("tracks", "target", "options", "words"),
    [
        (np.zeros((1, 4, 2)), np.zeros((1, 5, 2)), {}, r"\(1, 4, 2\) and target \(1, 5, 2\)"),
        (np.zeros(4), np.zeros(4), {}, r"tracks of shape \(4,\); allowed: \(N, T, 2\)"),
        (np.full((1, 4, 2), np.nan), np.zeros((1, 4, 2)), {}, "tracks hold a number that is not finite"),
        (np.zeros((1, 4, 2)), np.zeros((1, 4, 2)), {"reading": "l2"}, "unknown reading 'l2'"),
        (
            np.zeros((1, 4, 2)),
            np.zeros((1, 4, 2)),
            {"target_visible": [True]},
            r"target_visible of shape \(1, 1\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tracks: Any, target: Any, options: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        toraeval.metrics.traj_error(tracks, target, SIZE, **options)
