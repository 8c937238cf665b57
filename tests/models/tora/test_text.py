"""The word table of the captions: every caption of the world fits, and its numbers never move."""

from __future__ import annotations

import string

import torch
from hypothesis import given
from hypothesis import strategies as st

from toraeval.models.shared.nano.caption_encoder import (
    MAX_TOKENS,
    ROWS,
    SKIPPED,
    VOCABULARY,
    CaptionEncoder,
    prompt_facts,
    tokenise,
)
from toraeval.suites.shapes.world import BACKGROUNDS, COLOURS, DRIFTS, SHAPES, sample_scene


def test_word_numbers_are_pinned() -> None:
    # trained weights depend on these places
    assert (
        " ".join(VOCABULARY[:12]) == "<pad> <unk> and disc moves move background drifting left right up down"
    )
    assert (VOCABULARY.index("circle"), VOCABULARY.index("black"), len(VOCABULARY)) == (12, 25, 32)
    assert VOCABULARY[-1] == "grey-teal"
    assert len(VOCABULARY) <= ROWS
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_every_word_of_the_world_is_known() -> None:
    for word in (*SHAPES, *COLOURS, *BACKGROUNDS, *DRIFTS):
        assert word in VOCABULARY


def test_captions_fit_without_unknown_words() -> None:
    lengths = set()
    for index in range(40):
        facts = prompt_facts(sample_scene("train", index, 1 + index % 3, drift=bool(index % 2)).caption)
        assert facts["unknown_words"] == []
        assert facts["truncated"] is False
        lengths.add(facts["prompt_tokens"])
    assert max(lengths) == 19  # type: ignore[type-var]


def test_tokens() -> None:
    ids = tokenise("A red circle with an Orange disc, moves over a grey-teal background!")
    words = [VOCABULARY[i] for i in ids if i]
    assert words == ["red", "circle", "orange", "disc", "moves", "grey-teal", "background"]
    assert tokenise("") == [0] * MAX_TOKENS


def test_unknown_and_cut_prompts_are_recorded() -> None:
    assert prompt_facts("a red penguin moves")["unknown_words"] == ["penguin"]
    assert tokenise("penguin")[0] == VOCABULARY.index("<unk>")
    long = prompt_facts("red " * 25)
    assert (long["prompt_tokens"], long["truncated"]) == (25, True)


@given(st.text(string.printable))
def test_any_text_gives_twenty_rows_of_the_table(text: str) -> None:
    ids = tokenise(text)
    assert len(ids) == MAX_TOKENS
    assert all(0 <= i < ROWS for i in ids)


def test_skipped_words_cost_nothing() -> None:
    assert tokenise("the red circle over a grey background") == tokenise("red circle grey background")
    assert not SKIPPED & set(VOCABULARY)


def test_encoder_shape_and_word_order() -> None:
    encoder = CaptionEncoder(16)
    out = encoder(torch.tensor([tokenise("red circle"), tokenise("circle red")]))
    assert out.shape == (2, 1, MAX_TOKENS, 16)
    assert not torch.equal(out[0], out[1])
    assert torch.equal(out[0, :, 2:], out[1, :, 2:])
