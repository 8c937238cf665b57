"""Caption encoder of the embedded size: one learned vector per word of the `shapes` captions."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

# The vocabulary is part of the trained weights: append only.
VOCABULARY = tuple(
    word
    for line in (
        "<pad> <unk> and disc moves move background drifting left right up down",
        "circle square triangle diamond",
        "red orange yellow green cyan blue purple pink white black",
        "grey grey-blue grey-green grey-purple grey-brown grey-teal",
    )
    for word in line.split()
)
SKIPPED = frozenset({"a", "an", "the", "with", "over"})  # carry nothing and cost a token each
ROWS = 64  # rows of the table, more than the words, so that words can be added
MAX_TOKENS = 20


def tokenise(prompt: str) -> list[int]:
    """Map a prompt to at most 20 word numbers; unknown words become `<unk>`, the rest is padding."""
    words = [w for w in re.findall(r"[a-z]+(?:-[a-z]+)*", prompt.lower()) if w not in SKIPPED]
    known = {word: i for i, word in enumerate(VOCABULARY)}
    ids = [known.get(w, known["<unk>"]) for w in words[:MAX_TOKENS]]
    return ids + [0] * (MAX_TOKENS - len(ids))


def prompt_facts(prompt: str) -> dict[str, object]:
    """Return what a record should say: word count, unknown words, whether the prompt was cut."""
    words = [w for w in re.findall(r"[a-z]+(?:-[a-z]+)*", prompt.lower()) if w not in SKIPPED]
    unknown = [w for w in words if w not in VOCABULARY]
    return {"prompt_tokens": len(words), "truncated": len(words) > MAX_TOKENS, "unknown_words": unknown}


class CaptionEncoder(nn.Module):
    """Word and place embeddings.

    Args:
        channels: width of the caption features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.words = nn.Embedding(ROWS, channels)
        self.places = nn.Parameter(torch.randn(MAX_TOKENS, channels) * 0.5)

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Map int64 word numbers (B, L) to features (B, 1, L, channels)."""
        return (self.words(ids_BL) + self.places)[:, None]  # type: ignore[no-any-return]
