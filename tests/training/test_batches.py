"""Batches: every draw depends on seed, step and worker alone, and windows hold what moves."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from toraeval.models.shared.nano.caption_encoder import tokenise
from toraeval.suites.shapes.world import sample_scene
from toraeval.training.data.batch import Batch
from toraeval.training.data.batches import (
    TOKEN,
    BatchSource,
    ShardedClips,
    StepPlan,
    cut,
    marked_centres,
    origins_around,
)
from toraeval.training.data.device_clips import DeviceBatchSource, batch_source
from toraeval.training.data.shards import Shard
from toraeval.training.engine.parts import Counters
from toraeval.types import UserError

LENGTHS = {17: 0.5, 33: 0.5}


def window_origins(marks: Tensor, window: int) -> Tensor:
    return origins_around(marked_centres(marks), window, marks.shape[2] // TOKEN)


def video(batch: Batch) -> Tensor:
    """The latents as shards hold them."""
    return batch.latents_BCTHW.permute(0, 2, 3, 4, 1)


def same(one: Batch, other: Batch) -> bool:
    if (one.origins_B2 is None) != (
        other.origins_B2 is None
    ) or one.latents_BCTHW.shape != other.latents_BCTHW.shape:
        return False
    origins = one.origins_B2 is None or torch.equal(one.origins_B2, other.origins_B2)  # type: ignore[arg-type]
    return (
        origins
        and torch.equal(one.latents_BCTHW, other.latents_BCTHW)
        and torch.equal(one.motion, other.motion)
        and torch.equal(one.text, other.text)
    )


def test_a_draw_depends_on_seed_step_and_worker_alone(shards: Path) -> None:
    plan = StepPlan(lengths=LENGTHS, window=5)
    draws = [BatchSource(shards, LENGTHS, seed=1).draw(step, plan) for step in range(4)]
    source = BatchSource(shards, LENGTHS, seed=1)
    np.random.default_rng().random()
    for step in (3, 0, 2, 1, 3):
        assert same(source.draw(step, plan), draws[step])
    assert not all(same(BatchSource(shards, LENGTHS, seed=2).draw(s, plan), draws[s]) for s in range(4))


def test_workers_draw_other_clips_of_the_same_length(shards: Path) -> None:
    plan = StepPlan(lengths=LENGTHS)
    one, other = (BatchSource(shards, LENGTHS, worker=worker) for worker in (0, 1))
    pairs = [(one.draw(step, plan), other.draw(step, plan)) for step in range(6)]
    assert all(a.frames == b.frames for a, b in pairs)
    assert {a.frames for a, _ in pairs} == {17, 33}
    assert not all(same(a, b) for a, b in pairs)


@pytest.mark.parametrize(("window", "clips"), [(None, 8), (5, 20), (8, 8), (4, 32)])
def test_every_batch_costs_the_same(shards: Path, window: int | None, clips: int) -> None:
    batch = BatchSource(shards, {17: 1.0}).draw(0, StepPlan(window=window))
    side = window or 8
    assert len(batch) == len(batch.text) == clips
    assert video(batch).shape == batch.motion.shape == (clips, 5, side * TOKEN, side * TOKEN, 8)
    assert batch.latents_BCTHW.dtype == torch.float16
    assert clips * 5 * side**2 <= 2560
    assert batch.whole == (8, 8)
    assert (batch.origins_B2 is None) == (window is None)


def test_a_batch_holds_one_clip_at_least(shards: Path) -> None:
    assert (
        BatchSource(shards, {33: 1.0}, tokens=1).draw(0, StepPlan(lengths={33: 1.0})).latents_BCTHW.shape[0]
        == 1
    )


def test_captions_belong_to_their_clips(shards: Path) -> None:
    stored = {
        tuple(tokenise(sample_scene("train", i).caption)): np.load(shards / f"f017_{start:07d}_video.npy")[
            i - start
        ]
        for start, indices in ((0, range(4)), (4, range(4, 7)))
        for i in indices
    }
    batch = BatchSource(shards, {17: 1.0}).draw(5, StepPlan())
    for words, latents in zip(batch.text, video(batch), strict=True):
        assert np.array_equal(latents.numpy(), stored[tuple(words.tolist())])


@pytest.mark.parametrize(("fewest", "most"), [(1, 1), (1, 2), (2, 3)])
def test_only_clips_with_a_fitting_number_of_objects_are_drawn(shards: Path, fewest: int, most: int) -> None:
    counts = Shard(shards / "f017_0000000").objects.tolist() + Shard(shards / "f017_0000004").objects.tolist()
    assert counts == [len(sample_scene("train", i).objects) for i in range(7)]
    assert min(counts) < 2 < max(counts)
    source = BatchSource(shards, {17: 1.0})
    disc = tokenise("disc")[0]
    for step in range(3):
        drawn = (source.draw(step, StepPlan(max_objects=most, min_objects=fewest)).text == disc).sum(1)
        assert fewest <= drawn.min() <= drawn.max() <= most


def test_dense_and_sparse_plans_show_their_own_motion(shards: Path) -> None:
    source = BatchSource(shards, {17: 1.0})
    sparse, dense = (source.draw(0, StepPlan(motion=kind, window=5)) for kind in ("sparse", "dense"))
    assert torch.equal(sparse.latents_BCTHW, dense.latents_BCTHW)
    assert torch.equal(sparse.origins_B2, dense.origins_B2)  # type: ignore[arg-type]
    assert not torch.equal(sparse.motion, dense.motion)


def moving_cells(marks: Tensor) -> Tensor:
    return ((marks - marks[:1]).abs().amax(-1) > 0.05).any(0)


def test_windows_hold_the_marks_of_the_path(shards: Path) -> None:
    shard = Shard(shards / "f017_0000000")
    marks = shard.rows("sparse", np.arange(4))
    for window in (7, 8):
        origins = window_origins(marks, window)
        assert (origins >= 0).all()
        assert (origins + window <= 8).all()
        for whole, part in zip(marks, cut(marks, torch.arange(len(marks)), origins, window), strict=True):
            cells = moving_cells(whole)
            rows, columns = (cells.any(1 - axis).nonzero().flatten() for axis in (0, 1))
            wide = max(int(line[-1] - line[0]) + 1 for line in (rows, columns))
            if wide <= TOKEN * (window - 1):
                assert moving_cells(part).sum() == cells.sum()


@pytest.mark.parametrize(("place", "expected"), [((4, 5), (1, 1)), ((0, 15), (0, 5)), ((15, 0), (5, 0))])
def test_window_surrounds_a_mark_and_stays_in_the_picture(
    place: tuple[int, int], expected: tuple[int, int]
) -> None:
    marks = torch.zeros(1, 3, 16, 16, 4)
    marks[0, 2, place[0], place[1]] = 1.0
    assert window_origins(marks, 3).tolist() == [list(expected)]
    assert cut(marks, torch.tensor([0]), window_origins(marks, 3), 3).sum() == 4


def test_a_clip_at_rest_takes_the_first_window() -> None:
    assert window_origins(torch.ones(2, 3, 16, 16, 4), 3).tolist() == [[0, 0], [0, 0]]


def test_cut_takes_whole_tokens() -> None:
    latents = torch.arange(16 * 16.0).view(1, 1, 16, 16, 1)
    part = cut(latents, torch.tensor([0]), torch.tensor([[2, 3]]), 4)
    assert torch.equal(part, latents[:, :, 4:12, 6:14])


def test_refresh_finds_new_shards(shards: Path, tmp_path: Path) -> None:
    def link(stem: str) -> None:
        for source in shards.glob(f"{stem}*"):
            (tmp_path / source.name).symlink_to(source)

    link("f017_0000000")
    source = BatchSource(tmp_path, {17: 1.0})
    assert source.refresh() == 4
    link("f017_0000004")
    assert source.refresh() == 7
    assert source.refresh() == 7


def test_missing_lengths_are_named(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no shards of \[65\] frames in .*: python -m toraeval train"):
        BatchSource(shards, {17: 0.5, 65: 0.5})
    with pytest.raises(UserError, match=r"no shards of \[17\]"):
        BatchSource(tmp_path, {17: 1.0})


def test_a_plan_that_no_clip_fits_is_refused(shards: Path) -> None:
    with pytest.raises(UserError, match="no clip of 17 frames with 1 to 0 objects"):
        BatchSource(shards, {17: 1.0}).draw(0, StepPlan(max_objects=0))


def test_batches_of_a_run_are_the_drawn_ones_and_end_at_its_samples(shards: Path) -> None:
    drawing, seen = BatchSource(shards, {17: 1.0}), []

    def plan(done: Counters) -> StepPlan:
        seen.append(Counters(done.step, done.clips))
        return StepPlan(window=3 + done.step % 2)

    done, source = Counters(7, 100), ShardedClips(drawing, plan, None, (0, 1))
    source.begin(done)
    for step in (7, 8, 9):
        batch = source.batch(step, 0)
        assert same(batch, drawing.draw(step, StepPlan(window=3 + step % 2)))
        done.step, done.clips = step + 1, done.clips + len(batch)
    source.close()
    assert seen[:4] == [
        Counters(7, 100),
        *(Counters(s, seen[s - 7].clips) for s in (8, 9)),
        Counters(10, done.clips),
    ]
    pair = [ShardedClips(drawing, plan, 105, (rank, 2)) for rank in (0, 1)]
    for source in pair:
        source.begin(Counters(0, 100))
    assert [len(source.batch(0, rank)) for rank, source in enumerate(pair)] == [3, 2]
    for source in pair:
        source.close()


def test_trouble_while_reading_ahead_reaches_the_loop(shards: Path) -> None:
    drawing = BatchSource(shards, {17: 1.0})
    source = ShardedClips(drawing, lambda done: StepPlan(max_objects=0), None, (0, 1))
    source.begin(Counters())
    with pytest.raises(UserError, match="1 to 0 objects"):
        source.batch(0, 0)
    source.close()


def test_closing_ends_the_reading_thread(shards: Path) -> None:
    before = threading.active_count()
    source = ShardedClips(BatchSource(shards, {17: 1.0}), lambda done: StepPlan(window=4), None, (0, 1))
    source.begin(Counters())
    source.batch(0, 0)
    source.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("window", [4, None])
def test_clips_held_on_a_device_are_those_of_the_shards(shards: Path, window: int | None) -> None:
    plan = StepPlan("sparse", {17: 1.0}, window=window)
    held = DeviceBatchSource("cpu", shards, {17: 1.0}, tokens=320)
    batch, again = held.draw(3, plan), DeviceBatchSource("cpu", shards, {17: 1.0}, tokens=320).draw(3, plan)
    assert same(batch, again)
    assert batch.motion is not None
    plain = BatchSource(shards, {17: 1.0})
    stored = torch.cat([s.rows("video", np.arange(len(s.words))) for s in plain.shards[17]])
    marks = torch.cat([s.rows("sparse", np.arange(len(s.words))) for s in plain.shards[17]])
    if window is not None:
        origins = window_origins(marks, window)
        stored, marks = (
            cut(stored, torch.arange(len(stored)), origins, window),
            cut(marks, torch.arange(len(marks)), origins, window),
        )
    for latents, motion in zip(batch.latents_BCTHW.permute(0, 2, 3, 4, 1), batch.motion, strict=True):
        found = [k for k in range(len(stored)) if torch.equal(stored[k], latents)]
        assert any(torch.equal(marks[k], motion) for k in found)


def test_held_clips_change_with_the_stage(shards: Path) -> None:
    held = DeviceBatchSource("cpu", shards, {17: 1.0}, tokens=320)
    sparse, dense, none = (held.draw(0, StepPlan(kind)) for kind in ("sparse", "dense", "none"))
    assert sparse.motion is not None
    assert dense.motion is not None
    assert torch.equal(sparse.latents_BCTHW, dense.latents_BCTHW)
    assert not torch.equal(sparse.motion, dense.motion)
    assert none.motion is None
    assert isinstance(batch_source("cpu", shards, {17: 1.0}), BatchSource)
