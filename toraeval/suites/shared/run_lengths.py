"""COCO's run lengths of masks: columns from top to bottom, ground first, in compressed or plain form.

Source: the layout that `pycocotools` documents for its `mask` module.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.types import BoolArray, UserError

MAX_PIXELS = 120_000_000


def decode(source: Path, mask: Mapping[str, Any]) -> BoolArray:
    """Return bool (H, W) of `{size: [H, W], counts: ...}`.

    Raises:
        UserError: it is not such a mask, or its runs do not fill it.
    """
    size, counts = mask.get("size"), mask.get("counts")
    if not (
        isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
    ):
        raise UserError(f"{source}: mask size {size!r}; expected: [height, width]")
    height, width = size
    if height * width > MAX_PIXELS:
        raise UserError(f"{source}: mask of {width}x{height}; allowed: {MAX_PIXELS // 10**6} million pixels")
    runs = _unpacked(source, counts.encode() if isinstance(counts, str) else counts)
    if sum(runs) != height * width or min(runs, default=-1) < 0:
        raise UserError(f"{source}: the runs of a mask fill {sum(runs)} pixels; expected: {height * width}")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(values.reshape(width, height).T)


def _unpacked(source: Path, counts: Any) -> list[int]:
    """Return run lengths; the compressed form has 5 bits a character, and from the third on differences two back."""
    if isinstance(counts, list) and all(isinstance(n, int) for n in counts):
        return counts
    if not isinstance(counts, bytes):
        raise UserError(f"{source}: counts of type {type(counts).__name__}; expected: text or whole numbers")
    runs: list[int] = []
    value = shift = 0
    for code in counts:
        bits = code - 48
        if not 0 <= bits < 64:
            raise UserError(f"{source}: the character {chr(code)!r} is not part of a COCO run length")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift  # the sign is that of the last five bits
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise UserError(f"{source}: a COCO run length is cut off")
    return runs
