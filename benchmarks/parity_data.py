"""Recorded arrays of upstream runs, and how far our numbers are from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Row(NamedTuple):
    """One comparison: what, the largest difference, and the largest that is allowed."""

    group: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """True within the tolerance; a NaN is not."""
        return self.error <= self.tolerance


class Recording:
    """One `.npz` file: tensors by name, JSON strings as objects; remembers which were read.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as archive:
            self.arrays: dict[str, np.ndarray] = dict(archive)
        self.read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.array(name)))

    def array(self, name: str) -> np.ndarray:
        """Return an array."""
        self.read.add(name)
        return self.arrays[name]

    def json(self, name: str) -> Any:
        """Return what a JSON string says."""
        return json.loads(str(self.array(name)))

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return all numbers whose names begin with the prefix, without it."""
        return {
            k.removeprefix(prefix): self[k]
            for k, v in self.arrays.items()
            if k.startswith(prefix) and v.dtype.kind != "U"
        }

    def groups(self, ending: str) -> list[str]:
        """Return the sorted beginnings of the names that end so."""
        return sorted(k.removesuffix(ending) for k in self.arrays if k.endswith(ending))

    @property
    def unread(self) -> list[str]:
        """Names that nothing was compared with."""
        return sorted(set(self.arrays) - self.read)


Check = Callable[[Recording], Iterator[Row]]


def difference(actual: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> float:
    """Return the largest absolute difference; equal NaN count as equal, another shape as infinitely far."""
    ours, theirs = (
        np.asarray(v.detach() if isinstance(v, Tensor) else v, np.float64) for v in (actual, expected)
    )
    if ours.shape != theirs.shape:
        return float("inf")
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    apart = np.where(same, 0.0, np.abs(ours - theirs))
    return float(apart.max(initial=0.0)) if not np.isnan(apart).any() else float("nan")


def relative(actual: Tensor, expected: Tensor) -> float:
    """Return the largest difference in units of the largest expected value."""
    return difference(actual, expected) / max(float(expected.abs().max()), 1e-30)


def tapped(modules: dict[str, torch.nn.Module], run: Callable[[], object]) -> dict[str, Tensor]:
    """Run something and return the first output of each module meanwhile."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, arguments: object, output: Tensor) -> None:
            seen.setdefault(name, output.clone())

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return seen
