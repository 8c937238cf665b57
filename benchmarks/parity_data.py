"""Recorded arrays of upstream runs, and how far our numbers are from them.

Recordings were made with one maths library on one processor. Another `exp`, `atan2` or matrix product differs in the
last bits, so no number is compared more tightly than a second x86 library reaches: tolerances of networks are in units
of the largest recorded value, those of angles t * f grow with t, and a few bytes of the colour code may differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
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

    def under(self, prefix: str) -> Section:
        """Return the numbers whose names begin with the prefix, without it; each counts as read when it is taken."""
        names = [k for k, v in self.arrays.items() if k.startswith(prefix) and v.dtype.kind != "U"]
        return Section(self, prefix, [name.removeprefix(prefix) for name in names])

    def has(self, *prefixes: str) -> bool:
        """Return True if each prefix begins the name of some array: files may hold some sections only."""
        return all(any(name.startswith(prefix) for name in self.arrays) for prefix in prefixes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array, which does not count as reading it."""
        return self.arrays[name].shape

    def groups(self, ending: str) -> list[str]:
        """Return the sorted beginnings of the names that end so."""
        return sorted(k.removesuffix(ending) for k in self.arrays if k.endswith(ending))

    @property
    def unread(self) -> list[str]:
        """Names that nothing was compared with."""
        return sorted(set(self.arrays) - self.read)


class Section(Mapping[str, Tensor]):
    """Arrays of a recording under one prefix."""

    def __init__(self, recording: Recording, prefix: str, names: list[str]) -> None:
        self.recording, self.prefix, self.names = recording, prefix, names

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise KeyError(self.prefix + name)
        return self.recording[self.prefix + name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


Check = Callable[[Recording], Iterator[Row]]
EPS = float(np.finfo(np.float32).eps)
CHANGED_PIXELS = 1e-3
"""Share of the bytes of a colour clip that may differ by one level, or at the wrapped peak."""


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


def relative(actual: Tensor | np.ndarray, expected: Tensor | np.ndarray, floor: float = 1e-30) -> float:
    """Return the largest difference in units of the largest expected value, or of `floor` where that is larger."""
    theirs = np.asarray(expected.detach() if isinstance(expected, Tensor) else expected, np.float64)
    return difference(actual, expected) / max(float(np.abs(theirs).max(initial=0.0)), floor)


def colour_difference(actual: np.ndarray | Tensor, expected: np.ndarray | Tensor) -> float:
    """Return the largest difference of uint8 colours in levels, counted around the circle of 256 levels.

    The peak of the colour code lies within a rounding of 0 and wraps to 255, so 0 and 255 are neighbours. Infinite
    when more than `CHANGED_PIXELS` of the bytes differ at all.
    """
    ours, theirs = (np.asarray(v, np.int64) for v in (actual, expected))
    if ours.shape != theirs.shape:
        return float("inf")
    apart = np.abs(ours - theirs)
    apart = np.minimum(apart, 256 - apart)
    allowed = max(1.0, CHANGED_PIXELS * apart.size)
    return float(apart.max(initial=0)) if np.count_nonzero(apart) <= allowed else float("inf")


def colour_sum_difference(actual: np.ndarray, expected: np.ndarray | Tensor, pixels: int) -> float:
    """Return by how many single levels sums of uint8 colours differ, in units of the number that may.

    Args:
        actual, expected: sums over the pixels of a frame, of one colour channel.
        pixels: how many were added.
    """
    apart = np.asarray(actual, np.int64) - np.asarray(expected, np.int64)
    wrapped = np.round(apart / 255)
    allowed = max(1.0, CHANGED_PIXELS * pixels)
    return float((np.abs(wrapped) + np.abs(apart - 255 * wrapped)).max(initial=0) / allowed)


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
