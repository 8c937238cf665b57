"""Sizes, given frames and captions against tables recorded from Open-Sora v1.2.0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.parity_data import Row, difference
from toraeval.models.tora import conditions, prompts, sizes


def _mismatches(pairs: Iterator[tuple[object, object]]) -> float:
    return float(sum(ours != theirs for ours, theirs in pairs))


def latent_sizes(path: Path) -> Iterator[Row]:
    """Latent frames and grids."""
    table = json.loads(path.read_text())
    rows = table["frames"]
    yield Row(
        "frames", _mismatches((sizes.latent_frames(r["num_frames"]), r["latent_frames"]) for r in rows), 0
    )
    yield Row(
        "sizes",
        _mismatches(
            (list(sizes.token_size(51, r["height"], r["width"])[1:]), r["token_grid"]) for r in table["sizes"]
        ),
        0,
    )


def buckets(path: Path) -> Iterator[Row]:
    """Named sizes and lengths."""
    table = json.loads(path.read_text())
    for name, rows in table["buckets"].items():
        same = sizes.size_table(name) == {key: tuple(size) for key, size in rows["sizes"].items()}
        yield Row(name, float(not same), 0)
    yield Row("num_frames_names", float(table["num_frames_names"] != sizes.FRAME_NAMES), 0)


def mask_strategy(path: Path) -> Iterator[Row]:
    """Conditions: parsed, snapped, applied."""
    table = json.loads(path.read_text())
    parsed = table["parse_mask_strategy"]
    yield Row(
        "parse",
        _mismatches(
            (conditions.parse_strategy(c["text"]), tuple(conditions.Condition(*g) for g in c["result"]))
            for c in parsed
        ),
        0,
    )
    snaps = table["find_nearest_point"]
    yield Row(
        "snap",
        _mismatches((conditions.snap(c["value"], c["point"], c["max_value"]), c["result"]) for c in snaps),
        0,
    )
    for number, case in enumerate(table["cases"]):
        references = [
            [(1000.0 * k + torch.arange(n)).view(1, -1, 1, 1) for k, n in enumerate(lengths)]
            for lengths in case["refs"]
        ]
        z = torch.full((len(case["refs"]), 1, case["T"], 1, 1), -1.0)
        strategies = [conditions.parse_strategy(text) for text in case["strategy"]]
        pasted, ratios = conditions.apply_conditions(z, references, strategies, case["loop"], case["align"])
        yield Row(f"case{number}/mask", difference(ratios, torch.tensor(case["mask"])), 0)
        source = torch.tensor(case["source"], dtype=torch.float32)
        yield Row(f"case{number}/source", difference(pasted[:, 0, :, 0, 0], source), 0)


def text_cleaning(path: Path) -> Iterator[Row]:
    """Cleaned captions, score suffixes, loops, JSON tails."""
    table = json.loads(path.read_text())
    yield Row(
        "clean", _mismatches((prompts.clean_caption(c["text"]), c["result"]) for c in table["clean"]), 0
    )
    yield Row(
        "append_score",
        _mismatches(
            (prompts.add_scores(c["prompt"], c["aes"], c["flow"], c["camera_motion"]), c["result"])
            for c in table["append_score"]
        ),
        0,
    )
    split = table["split_prompt"]
    yield Row(
        "split_prompt", _mismatches((_loops(c["text"]), _recorded_loops(c["result"])) for c in split), 0
    )
    looped = table["prompt_for_loop"]
    yield Row(
        "prompt_for_loop",
        _mismatches(
            (prompts.prompt_of_loop(prompts.split_loops(c["text"]), c["loop"]).strip(), c["result"].strip())
            for c in looped
        ),
        0,
    )
    tail = table["json_prompt"]
    ours = [tuple(prompts.split_options(text)) for text in tail["text"]]
    theirs = zip(tail["prompts"], tail["reference"], tail["mask_strategy"], strict=True)
    yield Row("json_prompt", _mismatches(zip(ours, theirs, strict=True)), 0)


def _loops(text: str) -> list[tuple[int, str]]:
    return [(part.start, part.text.strip()) for part in prompts.split_loops(text)]


def _recorded_loops(result: list[Any]) -> list[tuple[int, str]]:
    texts, starts = result
    return [(start, text.strip()) for start, text in zip(starts or [0], texts, strict=True)]
