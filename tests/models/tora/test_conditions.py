"""Mask strategies against cases recorded from Open-Sora v1.2.0; training masks by their definition."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from toraeval.models.tora.conditions import given_frames as c
from toraeval.types import UserError


@pytest.fixture(scope="module")
def recorded(data_dir: Path) -> dict[str, Any]:
    return dict(json.loads((data_dir / "open_sora" / "mask_strategy_a.json").read_text()))


def clips(lengths: list[int]) -> list[Tensor]:
    """References whose values say which reference and frame they are."""
    return [
        (1000.0 * number + torch.arange(length)).view(1, -1, 1, 1).expand(2, -1, 2, 3)
        for number, length in enumerate(lengths)
    ]


def test_applied_strategies(recorded: dict[str, Any]) -> None:
    for case in recorded["cases"]:
        z = torch.full((len(case["refs"]), 2, case["T"], 2, 3), -1.0)
        pasted, ratios = c.apply_conditions(
            z,
            [clips(lengths) for lengths in case["refs"]],
            [c.parse_strategy(text) for text in case["strategy"]],
            case["loop"],
            case["align"],
        )
        assert torch.equal(ratios, torch.tensor(case["mask"])), case
        source = torch.tensor(case["source"]).float()
        assert torch.equal(pasted, source[:, None, :, None, None].expand_as(z)), case
        assert (z == -1).all()


def test_parsed_strategies(recorded: dict[str, Any]) -> None:
    for case in recorded["parse_mask_strategy"]:
        assert c.parse_strategy(case["text"]) == tuple(c.Condition(*group) for group in case["result"])
    assert c.parse_strategy(None) == c.frame_conditions("text") == ()
    assert c.frame_conditions("first_frame") == (c.Condition(),)
    assert c.frame_conditions("first_last_frame", 3)[1] == c.Condition(2, 1, 0, -1)


def test_snapped_starts(recorded: dict[str, Any]) -> None:
    for case in recorded["find_nearest_point"]:
        assert c.snap(case["value"], case["point"], case["max_value"]) == case["result"]


def test_first_and_last_frame_lie_at_both_ends() -> None:
    pasted, ratios = c.apply_conditions(
        torch.full((1, 2, 7, 2, 3), -1.0), [clips([1, 1])], [c.frame_conditions("first_last_frame")]
    )
    assert pasted[0, 0, :, 0, 0].tolist() == [0, -1, -1, -1, -1, -1, 1000]
    assert ratios[0].tolist() == [0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    "text", ["a", "0,x", "0,0,0,0,1,2", "0,0,0,0,0", "0,0,0,0,1,0,0", "-1", "0;", "0,0,0,0,1,nan"]
)
def test_strategies_out_of_range(text: str) -> None:
    with pytest.raises(UserError, match=r"mask strategy .*allowed: up to six numbers"):
        c.parse_strategy(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1", r"reference 1 is not given; got 1 reference\(s\)"),
        ("0,0,3", "start 3 lies outside the reference of 3 latent frames; allowed: -3 to 2"),
        ("0,0,0,9", "start 9 lies outside the clip of 5 latent frames"),
        ("0,0,0,-6", "start -6 lies outside the clip"),
    ],
)
def test_conditions_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        c.apply_conditions(torch.zeros(1, 2, 5, 2, 3), [clips([3])], [c.parse_strategy(text)])


# --- long videos ----------------------------------------------------------------------------------------------


def test_a_continued_clip_starts_with_the_end_of_the_one_before() -> None:
    condition = c.continuation(2, 0)
    assert c.parse_strategy("2,0,-5,0,5,0.0") == (condition,)
    pasted, ratios = c.apply_conditions(
        torch.full((1, 2, 15, 2, 3), -1.0), [clips([10])], [[condition]], loop=2
    )
    assert pasted[0, 0, :6, 0, 0].tolist() == [5, 6, 7, 8, 9, -1]
    assert ratios[0].sum() == 10


@given(st.integers(1, 900), st.integers(2, 12), st.integers(1, 2))
def test_loops_cover_the_video(frames: int, chunks: int, overlap_chunks: int) -> None:
    window, overlap = 17 * (chunks + 1), 17 * overlap_chunks
    spans = c.loop_spans(frames, window, 5 * overlap_chunks)
    assert spans[0][0] == 0
    assert spans[-1][1] == frames
    for (_, end), (start, after) in itertools.pairwise(spans):
        assert end - start == overlap
        assert after > end
        assert start % 17 == 0
    assert all(end - start <= window for start, end in spans)
    assert all(end - start == window for start, end in spans[:-1])


@pytest.mark.parametrize("arguments", [(100, 50), (100, 17), (100, 34, 4), (100, 34, 10), (100, 34, 0)])
def test_loops_that_do_not_fit(arguments: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="allowed: multiples of"):
        c.loop_spans(*arguments)


# --- training -------------------------------------------------------------------------------------------------


def given_frames(name: str, frames: int, seed: int) -> set[int]:
    mask = c.training_mask(1, frames, torch.Generator().manual_seed(seed), {name: 1.0})[0]
    assert mask.dtype == torch.bool
    return {int(i) for i in (~mask).nonzero()}


@pytest.mark.parametrize("frames", [5, 8, 15])
def test_each_mask_gives_what_its_name_says(frames: int) -> None:
    last, quarter = frames - 1, frames // 4
    for seed in range(40):
        assert given_frames("identity", frames, seed) == set()
        assert given_frames("image_head", frames, seed) == {0}
        assert given_frames("image_tail", frames, seed) == {last}
        assert given_frames("image_head_tail", frames, seed) == {0, last}
        assert len(given_frames("image_random", frames, seed)) == 1
        head, tail = given_frames("quarter_head", frames, seed), given_frames("quarter_tail", frames, seed)
        assert head == set(range(len(head)))
        assert 1 <= len(head) <= quarter
        assert tail == set(range(frames - len(tail), frames))
        run = sorted(given_frames("quarter_random", frames, seed))
        assert run == list(range(run[0], run[0] + len(run)))
        both = given_frames("quarter_head_tail", frames, seed)
        assert both == {f for f in range(frames) if min(f, last - f) < len(both) // 2}
        assert given_frames("interpolate", frames, seed) in (
            set(range(0, frames, 2)),
            set(range(1, frames, 2)),
        )
    assert given_frames("intepolate", frames, 3) == given_frames("interpolate", frames, 3)
    sizes = {len(given_frames("quarter_random", 16, seed)) for seed in range(60)}
    assert sizes == {1, 2, 3, 4}
    starts = {min(given_frames("image_random", frames, seed)) for seed in range(200)}
    assert starts == set(range(frames))


def test_random_masks_give_between_a_tenth_and_nine_tenths() -> None:
    shares = [len(given_frames("random", 400, seed)) / 400 for seed in range(200)]
    assert 0.05 < min(shares) < 0.2
    assert 0.8 < max(shares) < 0.95


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("name", c.MASKS)
def test_short_clips_keep_a_noisy_frame(name: str, frames: int) -> None:
    for seed in range(30):
        left = frames - len(given_frames(name, frames, seed))
        assert left >= 1
        if frames == 1:
            assert left == 1


def test_mixes_are_drawn_as_often_as_they_say() -> None:
    # Open-Sora v1.2, stage 3
    quarters = ("quarter_random", "quarter_head", "quarter_tail", "quarter_head_tail")
    mix = {"random": 0.01, "interpolate": 0.002, **dict.fromkeys(quarters, 0.002)}
    mix |= {"image_head": 0.22, "image_tail": 0.005, "image_head_tail": 0.005}
    masks = c.training_mask(10000, 16, torch.Generator().manual_seed(0), mix)
    seen = Counter("none" if m.all() else "head" if not m[0] and m[1:].all() else "other" for m in masks)
    rest = c.mask_mix(mix)["identity"]
    assert rest == pytest.approx(1 - 0.25)
    assert seen["none"] / 10000 == pytest.approx(rest, abs=0.01)
    assert seen["head"] / 10000 == pytest.approx(0.22, abs=0.02)
    assert c.mask_mix(c.MASKS_STAGE_1_2)["identity"] == pytest.approx(1 - 0.2)


def test_masks_come_from_the_generator_alone() -> None:
    first = c.training_mask(64, 8, torch.Generator().manual_seed(5))
    torch.rand(9)
    assert torch.equal(first, c.training_mask(64, 8, torch.Generator().manual_seed(5)))
    assert not torch.equal(first, c.training_mask(64, 8, torch.Generator().manual_seed(6)))


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"head": 0.1}, "training mask head=0.1; allowed: 0 to 1 for identity"),
        ({"image_head": -0.1}, "training mask image_head=-0.1"),
        ({"image_head": float("nan")}, "training mask image_head=nan"),
        ({"image_head": 0.7, "random": 0.7}, "sum to 1.4; allowed: 1"),
        ({"identity": 0.5}, "sum to 0.5"),
        ({"intepolate": 0.6, "interpolate": 0.6}, "sum to 1.2"),
    ],
)
def test_wrong_mixes(mix: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        c.training_mask(1, 4, probabilities=mix)
