"""Arrays of any library, as a program holds them, turned into what metrics compute with.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toraeval.types import BoolArray, FloatArray, UserError


def numbers(values: Any) -> FloatArray:
    """Return float64 numbers of an array, a tensor on any device, or nested lists."""
    if hasattr(values, "detach"):  # a tensor, without importing torch
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def points(name: str, values: Any) -> FloatArray:
    """Return float64 `(x, y)` of shape (N, T, 2), from that or from one path (T, 2).

    Raises:
        UserError: another shape.
    """
    found = numbers(values)
    if found.ndim == 2:
        found = found[None]
    if found.ndim != 3 or found.shape[-1] != 2:
        raise UserError(f"{name} of shape {found.shape}; allowed: (N, T, 2) or (T, 2)")
    return found


def visibility(name: str, values: Any, shape: tuple[int, ...]) -> BoolArray:
    """Return bool (N, T), True everywhere for None.

    Raises:
        UserError: another shape.
    """
    if values is None:
        return np.ones(shape[:2], dtype=bool)
    visible = numbers(values).astype(bool)
    if visible.ndim == 1:
        visible = visible[None]
    if visible.shape != shape[:2]:
        raise UserError(f"{name} of shape {visible.shape}; allowed: {shape[:2]} as the tracks")
    return visible
