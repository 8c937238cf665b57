"""Training motion against numbers recorded from Tora's release, its law of drawing, and its guards."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmarks.parity_colours import LEVEL, jumps, level_difference, sum_allowance, sum_difference
from benchmarks.parity_data import read_arrays
from toraeval.models.shared.flow_colour import flow_video
from toraeval.models.shared.trajectory import blur_flow, sparse_flow
from toraeval.models.tora.conditions.flow_sampling import (
    draw_starts,
    grid_candidates,
    roll_out,
    sample_trajectories,
    with_zero_frame,
)
from toraeval.types import UserError

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "tora" / "sparse_sampling_a.npz")


@pytest.fixture(scope="module")
def dense(golden: Golden) -> np.ndarray:
    return with_zero_frame(golden["dense_flow"].transpose(0, 2, 3, 1))


def test_recorded_start_points(golden: Golden, dense: np.ndarray) -> None:
    params, seed = json.loads(str(golden["params"])), int(golden["seed"])
    draws, spacing = random.Random(seed), params["lamb"]
    y0, x0 = draws.randint(0, spacing - 1), draws.randint(0, spacing - 1)
    count = draws.randint(1, params["max_sample_num"])
    points, chances = grid_candidates(dense[1], (x0, y0), spacing)
    picks = np.random.RandomState(seed).choice(len(points), count, replace=False, p=chances)
    assert np.array_equal(points[picks], golden["keypoints_seeded"])


def test_recorded_roll_out_blur_and_colours(golden: Golden, dense: np.ndarray) -> None:
    points = roll_out(dense, golden["keypoints_seeded"].astype(np.int64))
    flow = sparse_flow(points, dense.shape[2], dense.shape[1])
    places = np.argwhere(flow.any(-1))
    assert np.array_equal(places, golden["sparse_nonzero_tyx"])
    assert np.array_equal(flow[tuple(places.T)], golden["sparse_nonzero_uv"])
    blurred = blur_flow(flow, border="zero")
    # colours: test_parity.py
    np.testing.assert_allclose(blurred[:, ::8, ::8], golden["sparse_blur_sub"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        blurred.sum((1, 2), dtype=float), golden["sparse_blur_sum"], rtol=1e-5, atol=1e-2
    )
    clip = flow_video(blurred).sum((1, 2), dtype=np.int64)
    assert np.abs(clip - golden["sparse_color_chunk2_sum"]).max() > 1000  # the two normalisers differ


def test_recorded_dense_colours(golden: Golden, dense: np.ndarray) -> None:
    assert not dense[0].any()
    video, where = flow_video(dense, frames_per_maximum=2), jumps(dense, 2)
    part = (slice(None), slice(None, None, 4), slice(None, None, 4))
    recorded = golden["dense_color_chunk2_sub"].transpose(0, 2, 3, 1)
    assert level_difference(video[part], recorded, where.part(*part)) <= LEVEL
    assert (video[part] != recorded).mean() < 1e-3
    assert sum_difference(video, golden["dense_color_chunk2_sum"], where) <= sum_allowance(video)
    whole = flow_video(dense)
    assert sum_difference(whole, golden["dense_color_clip_sum"], jumps(dense)) <= sum_allowance(whole)


def test_recorded_point_lists_with_gaps_and_sources_outside(golden: Golden, dense: np.ndarray) -> None:
    points = golden["points_list"].astype(np.int64).transpose(1, 0, 2)
    known = (points != -9999).all(-1)
    height, width = dense.shape[1:3]
    with pytest.raises(UserError, match="outside the 128x96 canvas"):
        sparse_flow(points, width, height, known)
    flow = blur_flow(sparse_flow(points, width, height, known, outside="skip"), border="zero")
    np.testing.assert_allclose(flow[:, ::8, ::8], golden["points_flow_sub"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(flow.sum((1, 2), dtype=float), golden["points_flow_sum"], rtol=1e-5, atol=5e-2)


def test_chances_follow_the_motion() -> None:
    flow = np.zeros((64, 64, 2), np.float32)
    flow[:, :32, 0], flow[:, 32:, 1] = 3.0, 1.0
    rng = np.random.default_rng(0)
    left = sum(int(draw_starts(flow, rng, max_points=1)[0, 0] < 32) for _ in range(600))
    assert abs(left / 600 - 0.75) < 0.05


def test_starts_lie_on_one_grid_without_repetition_and_in_every_number() -> None:
    flow = np.ones((200, 330, 2), np.float32)
    rng = np.random.default_rng(1)
    counts, offsets = set(), set()
    for _ in range(150):
        points = draw_starts(flow, rng)
        assert len(np.unique(points % 32, axis=0)) == 1
        assert len(np.unique(points, axis=0)) == len(points)
        counts.add(len(points))
        offsets.add(tuple(points[0] % 32))
    assert counts == set(range(1, 17))
    assert len(offsets) > 100


def test_roll_out_truncates_clamps_and_freezes() -> None:
    flow = np.zeros((4, 40, 50, 2), np.float32)
    flow[1:] = (-3.9, 0.9)
    path = roll_out(flow, np.array([[7, 20]]))[0]
    assert path.tolist() == [[7, 20], [4, 20], [1, 20], [0, 20]]


def test_a_clip_at_rest_gives_no_trajectory() -> None:
    still = np.zeros((5, 40, 50, 2), np.float32)
    assert sample_trajectories(still, np.random.default_rng(0)).shape == (0, 5, 2)


def test_no_more_points_than_move() -> None:
    flow = np.zeros((96, 96, 2), np.float32)
    flow[:32, :32] = 2.0  # one point of every grid
    rng = np.random.default_rng(0)
    assert {len(draw_starts(flow, rng)) for _ in range(40)} == {1}


def test_small_pictures_have_a_grid() -> None:
    flow = np.ones((3, 20, 12, 2), np.float32)
    assert all(len(sample_trajectories(flow, np.random.default_rng(s))) >= 1 for s in range(20))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda f: sample_trajectories(f[:1], np.random.default_rng(0)),
            "1 frame; trajectories need at least 2",
        ),
        (lambda f: with_zero_frame(f[0]), r"shape \(40, 50, 2\)"),
        (lambda f: with_zero_frame(f * np.nan), "NaN"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(np.ones((3, 40, 50, 2), np.float32))
