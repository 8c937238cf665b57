"""Prompts: recorded behaviour of Open-Sora v1.2, and the cleaning beside that of an independent implementation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toraeval.models.tora.conditions import prompts
from toraeval.types import UserError

DATA = Path(__file__).parents[2] / "data/open_sora"
RECORDED = json.loads((DATA / "text_cleaning_a.json").read_text())
COMPARED = json.loads((DATA / "caption_cleaning_diffusers.json").read_text())["clean"]
PIECES = (
    "a red ball", "https://example.com/a-b?x=1", "www.site.org", "a.b.co/x_y", "IMG_0001.jpg", "x.mp4y", "@user_1",
    "&amp;quot;", "&lt;b&gt;", "<i>in</i>", "<person>", "中文字", "\uff46\uff55", "#123", "#123456", "1234567", "12:30",
    "1920x1080", "10×20", "3.5\u04452", "192.168.1.1", "“smart”", "it’s", "—", "--", "a-b_c-d", "...", " . ",
    "\\n", "\n",
    "jc6640", "jc6640vc", "6640vc231", "j2d1a2a", "free shipping", "free download", "click for more", "png images",
    "page 12", "(x)", "[y]", "{z}", "a|b", "a/b", "a,b", " : ", "'q'", '"', "_", ":", ";", "+", "%20", "%e4%b8", "©",
    ".end", "", "É", "schÃ¶n",
)  # fmt: skip


@pytest.mark.parametrize("recorded", [RECORDED["clean"], COMPARED], ids=["Open-Sora", "diffusers"])
def test_recorded_cleaning(recorded: list[dict[str, str]]) -> None:
    found = {case["text"]: prompts.clean_caption(case["text"]) for case in recorded}
    assert found == {case["text"]: case["result"] for case in recorded}


@pytest.fixture(scope="module")
def reference() -> Callable[[str], str]:
    from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import PixArtAlphaPipeline

    pipeline = PixArtAlphaPipeline.__new__(PixArtAlphaPipeline)
    return pipeline._clean_caption  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bs4.MarkupResemblesLocatorWarning")
def test_cleaning_equals_that_of_diffusers_on_random_texts(reference: Callable[[str], str]) -> None:
    draw = random.Random(0)
    for _ in range(2000):
        text = draw.choice((" ", " ", "")).join(draw.choices(PIECES, k=draw.randint(1, 7)))
        assert prompts.clean_caption(text) == reference(reference(text)), repr(text)


@pytest.mark.parametrize("case", RECORDED["append_score"], ids=lambda case: case["result"])
def test_recorded_scores(case: dict[str, Any]) -> None:
    found = prompts.add_scores(case["prompt"], case["aes"], case["flow"], case["camera_motion"])
    assert found == case["result"]


def test_scores_must_be_numbers() -> None:
    with pytest.raises(UserError, match="motion score nan"):
        prompts.add_scores("a dog", motion=float("nan"))


@pytest.mark.parametrize("case", RECORDED["split_prompt"], ids=lambda case: case["text"])
def test_recorded_loop_parts(case: dict[str, Any]) -> None:
    parts = prompts.split_loops(case["text"])
    texts, starts = case["result"]
    assert [part.text.strip() for part in parts] == texts
    assert [part.start for part in parts] == (starts or [0])


@pytest.mark.parametrize(
    "case", RECORDED["prompt_for_loop"], ids=lambda case: f"{case['text']} {case['loop']}"
)
def test_recorded_prompt_of_a_loop(case: dict[str, Any]) -> None:
    assert prompts.prompt_of_loop(prompts.split_loops(case["text"]), case["loop"]) == case["result"]


@pytest.mark.parametrize("text", ["|0|a|x|b", "|0|a|2", "|0|a|3|b|2|c"])
def test_wrong_loop_marks(text: str) -> None:
    with pytest.raises(UserError, match="prompt"):
        prompts.split_loops(text)


def test_recorded_json_tails() -> None:
    recorded = RECORDED["json_prompt"]
    found = [prompts.split_options(text) for text in recorded["text"]]
    assert [f.prompt for f in found] == recorded["prompts"]
    assert [f.reference_path for f in found] == recorded["reference"]
    assert [f.mask_strategy for f in found] == recorded["mask_strategy"]


@pytest.mark.parametrize(
    "tail", ["{", '{"path": "a"}', '{"mask_strategy": 1}', '{"mask_strategy": "0"} x', "{}{}"]
)
def test_wrong_json_tails(tail: str) -> None:
    with pytest.raises(UserError, match="prompt"):
        prompts.split_options("a wave." + tail)


def test_scores_are_added_to_every_part_before_cleaning() -> None:
    parts = prompts.prepare_prompt("|0|A Cat --- runs|2| A Dog", aesthetic=6.5, motion=5)
    assert parts == [
        (0, "a cat - runs aesthetic score: 6.5. motion score: 5.0."),
        (2, "a dog aesthetic score: 6.5. motion score: 5.0."),
    ]
