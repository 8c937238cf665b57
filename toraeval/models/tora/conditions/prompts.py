"""Prompts as Open-Sora v1.2 expects them: JSON tail, loop parts, score suffixes, caption cleaning.

Order at inference (Open-Sora v1.2.0, `scripts/inference.py`): `split_options`, `split_loops`, `add_scores`,
`clean_caption`; one caption per loop then comes from `prompt_of_loop`. The cleaning is written from observed behaviour
as a table of rules; it is compared with the Apache-2.0 pipelines of diffusers, which clean captions in the same way.
"""

from __future__ import annotations

import html
import itertools
import json
import math
import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from toraeval.optional import require
from toraeval.types import UserError

CLEANING_PASSES = 2  # upstream cleans twice, which also removes what the first pass lays bare
SCORE_LABELS = ("aesthetic score:", "motion score:", "camera motion:")
OPTION_KEYS = ("reference_path", "mask_strategy")

DASHES = (
    "\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d"
)
SITES = "com|co|ru|net|org|edu|gov|it"
FILE_ENDINGS = "png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4"


class Rule(NamedTuple):
    """Replace every match of `pattern`; `why` says what it stands for in scraped captions."""

    pattern: re.Pattern[str]
    replacement: str
    why: str


def _rules(*lines: tuple[str, str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(re.compile(pattern), replacement, why) for pattern, replacement, why in lines)


def _address(prefix: str) -> str:
    """Return a pattern for the start `prefix:` of an address with one character, or for a host with its path."""
    return rf"\b(?:{prefix}:(?:/{{1,3}}|[a-z0-9%])|[a-z0-9.\-]+\.(?:{SITES})[\w/\-]*\b/?(?!@))"


RAW = _rules(
    ("<person>", "person", "a placeholder of image data sets; would be lost as markup"),
    (_address("https?"), "", "web addresses; the query after '?' stays"),
    (_address("www"), "", "web addresses"),
)  # runs on the lower-cased text, before markup is removed
PLAIN = _rules(
    (r"@\w+\b", "", "names of accounts"),
    ("[\u31c0-\u9fff]+", "", "Chinese and Japanese signs; T5 has none"),
    (f"[{DASHES}]+", "-", "all dashes, and rows of them, are one hyphen"),
    ("[`\u00b4\u00ab\u00bb\u201c\u201d\u00a8]", '"', "double quotation marks"),
    ("[\u2018\u2019]", "'", "single quotation marks"),
    ("&quot;?", "", "quotation marks escaped twice"),
    ("&amp", "", "ampersands escaped twice"),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " ", "network addresses"),
    (r"\d:\d\d\s+$", "", "a time of day that ends the text"),
    (r"\\n", " ", "line breaks spelled out"),
    (r"#\d{1,3}\b", "", "numbers of items"),
    (r"#\d{5,}\b", "", "long numbers of items"),
    (r"\b\d{6,}\b", "", "identifiers"),
    (rf"\S+\.(?:{FILE_ENDINGS})", "", "file names"),
    ("[\"']{2,}", '"', "rows of quotation marks"),
    (r"\.{2,}", " ", "rows of full stops"),
    ("[#®•©™&@·º½¾¿¡§~()\\[\\]{}|\\\\/*]+", " ", "signs outside sentences"),
    (r"\s+\.\s+", " ", "full stops that stand alone"),
)
REPAIRED = _rules(
    (r"\b[a-z]{1,3}\d{3,15}\b", "", "identifiers: jc6640"),
    (r"\b[a-z]+\d+[a-z]+\b", "", "identifiers: jc6640vc"),
    (r"\b\d+[a-z]+\d+\b", "", "identifiers: 6640vc231"),
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", "", "advertisements"),
    (r"(?:free\s)?download(?:\sfree)?", "", "advertisements"),
    (r"\bclick\b\s(?:for|on)\s\w+", "", "links"),
    (rf"\b(?:{FILE_ENDINGS})(?:\simages?)?", "", "names of file formats"),
    (r"\bpage\s+\d+\b", "", "page numbers"),
    (r"\b\d*[a-z]+\d+[a-z]+\d+[a-z\d]*\b", " ", "identifiers: j2d1a2a"),
    (r"\b\d+\.?\d*[xх×]\d+\.?\d*\b", "", "sizes: 1920x1080"),  # noqa: RUF001, the letter ha serves as a times sign
    (r"\b\s+:\s+", ": ", "colons that stand alone"),
    (r"(\D[,./])\b", r"\1 ", "punctuation without a space behind it, except in numbers"),
    (r"\s+", " ", "white space"),
)
EDGES = _rules(
    ("^[\"'](.+)[\"']$", r"\1", "quotation marks around everything"),
    (r"^['_,\-:;]", "", "a sign that starts nothing"),
    (r"['_,\-:+]$", "", "a sign that ends nothing"),
    (r"^\.\S+$", "", "a lone file ending"),
)
JOINERS = re.compile("[-_]")
ESCAPED = re.compile("(?:%[0-9a-fA-F]{2})+")
MAX_JOINERS = 3  # with more of them they stand for spaces, as in file names and links


def clean_caption(text: str) -> str:
    """Return a caption as the published weights were trained on: lower case, without links, markup and identifiers.

    The cleaning runs twice, as upstream does. The result can be empty.

    Args:
        text: a caption, score suffixes included.

    Raises:
        MissingDependency: ftfy or beautifulsoup4 is absent.
    """
    for _ in range(CLEANING_PASSES):
        text = _clean_once(text)
    return text


def _clean_once(text: str) -> str:
    bs4 = require("bs4", "caption cleaning", "tora")
    ftfy = require("ftfy", "caption cleaning", "tora")
    text = _apply(RAW, _unescape_address(text).strip().lower())
    with warnings.catch_warnings():  # a caption that looks like an address is still meant as text
        warnings.simplefilter("ignore", bs4.MarkupResemblesLocatorWarning)
        text = bs4.BeautifulSoup(text, "html.parser").text
    text = _apply(PLAIN, text)
    if len(JOINERS.findall(text)) > MAX_JOINERS:
        text = JOINERS.sub(" ", text)
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    # A space at an edge shields what is next to it from EDGES, upstream too.
    return _apply(EDGES, _apply(REPAIRED, text)).strip()


def _unescape_address(text: str) -> str:
    """Undo the escapes of form fields: `+` for a space, `%` and two digits for a byte of UTF-8."""
    return ESCAPED.sub(
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace"),
        text.replace("+", " "),
    )


def _apply(rules: Sequence[Rule], text: str) -> str:
    for rule in rules:
        text = rule.pattern.sub(rule.replacement, text)
    return text


def add_scores(
    prompt: str, aesthetic: float | None = None, motion: float | None = None, camera: str | None = None
) -> str:
    """Return the prompt with score suffixes; a score that the prompt already states stays as it is.

    Args:
        prompt: one caption.
        aesthetic: quality, 4 (poor) to 7 (best) in the training data; None adds none.
        motion: amount of motion, 0 (still) upwards; None adds none.
        camera: motion of the camera in words, e.g. `pan left`; None adds none.

    Raises:
        UserError: a score is not a finite number.
    """
    for name, score in (("aesthetic", aesthetic), ("motion", motion)):
        if score is not None and not math.isfinite(score):
            raise UserError(f"prompt: the {name} score {score} is not a finite number")
    values = (
        None if aesthetic is None else f"{aesthetic:.1f}",
        None if motion is None else f"{motion:.1f}",
        camera,
    )
    given = prompt
    for label, value in zip(SCORE_LABELS, values, strict=True):
        if value is not None and label not in given:
            prompt = f"{prompt} {label} {value}."
    return prompt


class LoopPart(NamedTuple):
    """A caption and the first loop (generated clip of a long video) that it holds for."""

    start: int
    text: str


def split_loops(prompt: str) -> list[LoopPart]:
    """Return the parts of `|0|a cat|2|a dog`, or the whole prompt as the part from loop 0.

    Raises:
        UserError: a prompt that starts with `|0|` whose further marks are not increasing numbers.
    """
    if not prompt.startswith("|0|"):
        return [LoopPart(0, prompt)]
    pieces = prompt.split("|")[1:]
    starts, texts = pieces[::2], pieces[1::2]
    if len(pieces) % 2 or not all(s.strip().isdecimal() for s in starts):
        raise UserError(f"prompt {prompt!r}: expected |0|text|N|text..., N the first loop of a text")
    numbers = [int(s) for s in starts]
    if any(b <= a for a, b in itertools.pairwise(numbers)):
        raise UserError(f"prompt {prompt!r}: loops must increase, got {numbers}")
    return [LoopPart(*part) for part in zip(numbers, texts, strict=True)]


def prompt_of_loop(parts: Sequence[LoopPart], loop: int) -> str:
    """Return the text that holds for a loop, counted from 0."""
    return [part.text for part in parts if part.start <= loop][-1]


class PromptOptions(NamedTuple):
    """A prompt and what its JSON tail says; empty strings where it says nothing.

    `reference_path` names files, separated by semicolons; `mask_strategy` says where their frames go.
    """

    prompt: str
    reference_path: str = ""
    mask_strategy: str = ""


def split_options(prompt: str) -> PromptOptions:
    """Split `a wave.{"reference_path": "a.png", "mask_strategy": "0"}` into the prompt and its options.

    Raises:
        UserError: the tail is not a JSON object, or has other keys or values that are not text.
    """
    text, brace, _ = prompt.partition("{")
    if not brace:
        return PromptOptions(prompt)
    tail = prompt[len(text) :]
    try:
        options = json.loads(tail)
    except ValueError as error:
        raise UserError(
            f"prompt: {tail!r} is not a JSON object ({error}); everything after '{{' must be one"
        ) from error
    wrong = sorted(set(options) - set(OPTION_KEYS)) + [
        k for k, v in options.items() if not isinstance(v, str)
    ]
    if wrong:
        raise UserError(f"prompt: unknown or non-text options {wrong}; allowed: {', '.join(OPTION_KEYS)}")
    return PromptOptions(text, **options)


def prepare_prompt(
    prompt: str,
    aesthetic: float | None = None,
    motion: float | None = None,
    camera: str | None = None,
    clean: bool = True,
) -> list[LoopPart]:
    """Return the loop parts of a prompt without JSON tail, score suffixes added to each, cleaned unless told not to."""
    parts = [
        LoopPart(start, add_scores(text.strip(), aesthetic, motion, camera))
        for start, text in split_loops(prompt)
    ]
    return [LoopPart(start, clean_caption(text)) for start, text in parts] if clean else parts
