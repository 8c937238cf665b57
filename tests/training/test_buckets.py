"""Buckets: what fits where, chances, full batches, and the same steps however they are asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from toraeval.models.tora.sampling.sizes import size_table
from toraeval.training.data.buckets import BucketPlan, VideoSize, read_buckets
from toraeval.types import UserError

TABLE = {"144p": {17: [1.0, 3]}, "240p": {51: [0.5, 2], 17: [1.0, 4]}}
HD = VideoSize(60, 720, 1280)
VIDEOS = (
    [HD] * 30 + [VideoSize(20, 1280, 720)] * 10 + [VideoSize(60, 150, 260)] * 7 + [VideoSize(9, 720, 1280)]
)


def test_table_is_tried_from_the_largest_downwards() -> None:
    assert [(b.resolution, b.frames) for b in read_buckets(TABLE)] == [
        ("240p", 51),
        ("240p", 17),
        ("144p", 17),
    ]


def test_every_video_goes_where_it_fits() -> None:
    plan = BucketPlan(VIDEOS, read_buckets(TABLE), seed=0)
    steps = [step for epoch in range(20) for step in plan.epoch(epoch)]
    for size, ((*videos,),) in steps:
        for video in videos:
            assert VIDEOS[video].frames >= size.frames
            assert VIDEOS[video].height * VIDEOS[video].width >= size.height * size.width
            # landscape stays landscape: the nearest ratio of the table
            ratio = VIDEOS[video].height / VIDEOS[video].width
            nearest = min(abs(h / w - ratio) for h, w in size_table("240p").values())
            assert abs(size.height / size.width - ratio) <= nearest + 0.01
    clips = {51: {2}, 17: {3, 4}}
    assert all(len(batch) in clips[size.frames] for size, (batch,) in steps)
    seen = Counter(video for _, (batch,) in steps for video in set(batch))
    assert set(seen) == set(range(47))  # the last video is too short
    # every draw of an epoch uses a video once, but for the filling up
    assert all(count <= 20 * 1.5 for count in seen.values())
    long = sum(len(set(batch)) for size, (batch,) in steps if size.frames == 51)
    assert abs(long / (20 * 30) - 0.5) < 0.1


def test_a_chance_below_one_leaves_videos_out_for_an_epoch() -> None:
    plan = BucketPlan([HD] * 400, read_buckets({"144p": {17: [0.25, 1]}}), seed=3)
    counts = [len(plan.epoch(epoch)) for epoch in range(4)]
    assert all(60 < count < 140 for count in counts)
    first, second = ({b[0][0] for _, b in plan.epoch(e)} for e in (0, 1))
    assert first != second


def test_any_step_can_be_asked_for_directly() -> None:
    buckets = read_buckets(TABLE)
    walked = BucketPlan(VIDEOS, buckets, seed=5)
    steps = [walked.batch(step, 0) for step in range(60)]
    assert walked.epoch(0) != walked.epoch(1)
    fresh = BucketPlan(VIDEOS, buckets, seed=5)
    for step in (59, 3, 31, 30, 0):
        assert fresh.batch(step, 0) == steps[step]
    other = BucketPlan(VIDEOS, buckets, seed=6)
    assert [other.batch(step, 0) for step in range(60)] != steps


def test_batches_of_a_step_share_a_size_and_split_evenly() -> None:
    plan = BucketPlan(VIDEOS, read_buckets(TABLE), seed=0, batches_per_step=4)
    for step in range(12):
        parts = [plan.batch(step, number) for number in range(4)]
        assert len({size for size, _ in parts}) == 1
        assert len({len(videos) for _, videos in parts}) == 1


def test_incomplete_batches_are_filled_from_the_bucket() -> None:
    plan = BucketPlan([HD] * 5, read_buckets({"64x96": {8: [1.0, 4]}}), seed=0)
    first, second = (set(batch) for _, (batch,) in plan.epoch(0))
    assert first | second == set(range(5))
    assert [len(batch) for _, (batch,) in plan.epoch(0)] == [4, 4]
    assert plan.batch(0, 0)[0] == (8, 64, 96)


def test_small_videos_are_enlarged_only_on_request() -> None:
    buckets = read_buckets({"240p": {17: [1.0, 1]}})
    small = [VideoSize(20, 100, 100)]
    with pytest.raises(UserError, match=r"none of 1 video fits .* largest picture 10000 pixels"):
        BucketPlan(small, buckets, seed=0)
    assert BucketPlan(small, buckets, seed=0, enlarge=True).batch(0, 0)[1] == [0]


def test_fingerprint_follows_what_decides_the_batches() -> None:
    prints = [
        BucketPlan(videos, read_buckets(table), seed).fingerprint()
        for videos, table, seed in (
            (VIDEOS, TABLE, 0),
            (VIDEOS[1:], TABLE, 0),
            (VIDEOS, {"144p": {17: [1, 3]}}, 0),
        )
    ]
    assert len({str(p) for p in prints}) == 3


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "table is empty"),
        ({"144p": {17: [0.0, 3]}}, "chance above 0 to 1"),
        ({"144p": {17: [1.0, 26]}}, "clips 1 to 25"),
        ({"144p": {0: [1.0, 2]}}, "frames from 1"),
        ({"144p": {17: [1.0]}}, r"allowed: \[chance, clips\]"),
        ({"145p": {17: [1.0, 1]}}, "resolution '145p'; allowed: 144p"),
    ],
)
def test_wrong_tables_are_refused(table: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_buckets(table)


def test_no_batches_per_step_are_refused() -> None:
    with pytest.raises(UserError, match="batches_per_step=0"):
        BucketPlan(VIDEOS, read_buckets(TABLE), 0, batches_per_step=0)


def test_large_folders_are_drawn_quickly() -> None:
    videos = [HD] * 20_000
    plan = BucketPlan(videos, read_buckets(TABLE), seed=0)
    size, batch = plan.batch(10, 0)
    assert size.frames in (17, 51)
    assert np.array(batch).max() < 20_000
