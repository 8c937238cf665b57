"""Numbers that any machine makes alike, for weights and pictures of recorded comparisons."""

from __future__ import annotations

import numpy as np


def made(shape: tuple[int, ...], salt: int, scale: float) -> np.ndarray:
    """Return float32 numbers in -scale..scale."""
    x = (np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(salt * 7919 + 1)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    x ^= x >> np.uint64(31)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(29)
    unit = ((x >> np.uint64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)
    return unit.reshape(shape) * np.float32(scale)
