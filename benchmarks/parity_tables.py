"""Sizes, given frames and captions against tables recorded from Open-Sora v1.2.0."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.parity_data import Row, difference
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.tora.autoencoder.video import OpenSoraVAE
from toraeval.models.tora.conditions import given_frames as conditions
from toraeval.models.tora.conditions import prompts
from toraeval.models.tora.sampling import sizes


def _mismatches(pairs: Iterable[tuple[object, object]]) -> float:
    return float(sum(ours != theirs for ours, theirs in pairs))


def latent_sizes(path: Path) -> Iterator[Row]:
    """Latent frames and grids."""
    table = json.loads(path.read_text())
    with torch.device("meta"):
        vae = OpenSoraVAE()
    patch = STDiTConfig().patch_size[1:]
    if rows := table.get("frames"):
        pairs = ((vae.latent_size(r["num_frames"], 8, 8)[0], r["latent_frames"]) for r in rows)
        yield Row("frames", _mismatches(pairs), 0)
    if rows := table.get("sizes"):
        cells = [vae.latent_size(51, r["height"], r["width"])[1:] for r in rows]
        tokens = ([-(-n // p) for n, p in zip(grid, patch, strict=True)] for grid in cells)
        yield Row("sizes", _mismatches(zip(tokens, (r["token_grid"] for r in rows), strict=True)), 0)


def buckets(path: Path) -> Iterator[Row]:
    """Named sizes."""
    table = json.loads(path.read_text())
    for name, rows in table.get("buckets", {}).items():
        same = sizes.size_table(name) == {key: tuple(size) for key, size in rows["sizes"].items()}
        yield Row(name, float(not same), 0)


def mask_strategy(path: Path) -> Iterator[Row]:
    """Conditions: parsed, snapped, applied."""
    table = json.loads(path.read_text())
    if parsed := table.get("parse_mask_strategy"):
        pairs = (
            (conditions.parse_strategy(c["text"]), tuple(conditions.Condition(*g) for g in c["result"]))
            for c in parsed
        )
        yield Row("parse", _mismatches(pairs), 0)
    if snaps := table.get("find_nearest_point"):
        near = ((conditions.snap(c["value"], c["point"], c["max_value"]), c["result"]) for c in snaps)
        yield Row("snap", _mismatches(near), 0)
    for number, case in enumerate(table.get("cases", [])):
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
    if cleaned := table.get("clean"):
        yield Row("clean", _mismatches((prompts.clean_caption(c["text"]), c["result"]) for c in cleaned), 0)
    if scored := table.get("append_score"):
        texts = (prompts.add_scores(c["prompt"], c["aes"], c["flow"], c["camera_motion"]) for c in scored)
        yield Row("append_score", _mismatches(zip(texts, (c["result"] for c in scored), strict=True)), 0)
    if split := table.get("split_prompt"):
        loops = ((_loops(c["text"]), _recorded_loops(c["result"])) for c in split)
        yield Row("split_prompt", _mismatches(loops), 0)
    if looped := table.get("prompt_for_loop"):
        parts = (prompts.prompt_of_loop(prompts.split_loops(c["text"]), c["loop"]) for c in looped)
        pairs = ((part.strip(), c["result"].strip()) for part, c in zip(parts, looped, strict=True))
        yield Row("prompt_for_loop", _mismatches(pairs), 0)
    if tail := table.get("json_prompt"):
        ours = [tuple(prompts.split_options(text)) for text in tail["text"]]
        theirs = zip(tail["prompts"], tail["reference"], tail["mask_strategy"], strict=True)
        yield Row("json_prompt", _mismatches(zip(ours, theirs, strict=True)), 0)


def _loops(text: str) -> list[tuple[int, str]]:
    return [(part.start, part.text.strip()) for part in prompts.split_loops(text)]


def _recorded_loops(result: list[Any]) -> list[tuple[int, str]]:
    texts, starts = result
    return [(start, text.strip()) for start, text in zip(starts or [0], texts, strict=True)]
