"""Recorded arrays of upstream runs, and how far our numbers are from them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from toraeval.types import UserError

Values = Tensor | np.ndarray
RELATIVE = 1e-5  # of the largest recorded value: what two builds of one float32 network differ by, with room
FLOOR = 1e-6
ARGUMENT_ULPS = 2  # each of two libraries may round the frequency of a sinusoid by one unit in the last place
HALF = 2.0**-11  # largest relative rounding of float16
FLOW = 1e-6  # of the largest displacement


class Row(NamedTuple):
    """One comparison: what, the largest difference, and the largest that is allowed."""

    group: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """True within the tolerance; a NaN is not."""
        return self.error <= self.tolerance


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of one `.npz` by name, weights as `sd/NAME`.

    Weights may stand there as int8 times 2 to the minus exponent: as `sd8/NAME` with `sd8exp/NAME`, or all of them as
    one list `weights` with `weights_index`, the JSON of (name, shape, exponent).
    """
    with np.load(path, allow_pickle=False) as archive:
        arrays: dict[str, np.ndarray] = dict(archive)
    for name in [name for name in arrays if name.startswith("sd8/")]:
        exponent = int(arrays.pop(name.replace("sd8/", "sd8exp/", 1)))
        arrays[name.replace("sd8/", "sd/", 1)] = arrays.pop(name).astype(np.float32) * np.float32(
            2.0**-exponent
        )
    if "weights" not in arrays:
        return arrays
    numbers, start = arrays.pop("weights").astype(np.float32), 0
    for name, shape, exponent in json.loads(str(arrays.pop("weights_index"))):
        end = start + math.prod(shape)
        arrays[f"sd/{name}"] = numbers[start:end].reshape(shape) * np.float32(2.0**-exponent)
        start = end
    return arrays


class Recording:
    """One `.npz` file: tensors by name, JSON strings as objects; remembers which were read.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.arrays = read_arrays(path)
        self.name = path.name
        self.read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.array(name)))

    def array(self, name: str) -> np.ndarray:
        """Return an array.

        Raises:
            UserError: there is none of this name.
        """
        if name not in self.arrays:
            raise UserError(f"parity: {self.name} has no array {name!r}, which other arrays of it need")
        self.read.add(name)
        return self.arrays[name]

    def json(self, name: str) -> Any:
        """Return what a JSON string says."""
        return json.loads(str(self.array(name)))

    def under(self, prefix: str) -> Section:
        """Return the numbers whose names begin with the prefix, without it; each counts as read when it is taken."""
        return Section(self, prefix)

    def check(
        self,
        name: str,
        ours: Values | Callable[[], Values],
        relative: float = RELATIVE,
        floor: float = FLOOR,
        group: str | None = None,
    ) -> Iterator[Row]:
        """Compare one array, if the file has it; what a function gives is not computed otherwise.

        Args:
            name: of the array.
            ours: our values, or a function that computes them.
            relative, floor: see `allowance`; both 0 ask for equality.
            group: what the row is called, by default the name.
        """
        if name in self:
            expected = self[name]
            value = ours() if callable(ours) else ours
            yield row(group or name, value.reshape(expected.shape), expected, relative, floor)

    def groups(self, ending: str) -> list[str]:
        """Return the sorted beginnings of the names that end so."""
        return sorted(k.removesuffix(ending) for k in self.arrays if k.endswith(ending))

    @property
    def unread(self) -> list[str]:
        """Names of arrays that were neither compared nor needed as an input."""
        return sorted(set(self.arrays) - self.read)


class Section(Mapping[str, Tensor]):
    """The arrays of a recording under one prefix; iterating over the names reads none of them."""

    def __init__(self, recording: Recording, prefix: str) -> None:
        self.recording, self.prefix = recording, prefix
        self.names = [
            name.removeprefix(prefix)
            for name, value in recording.arrays.items()
            if name.startswith(prefix) and value.dtype.kind != "U"
        ]

    def __getitem__(self, name: str) -> Tensor:
        return self.recording[self.prefix + name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def get(self, name: str, default: Any = None) -> Any:
        """Return an array or the default."""
        return self[name] if name in self.names else default

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


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


def allowance(expected: Tensor | np.ndarray, relative: float = RELATIVE, floor: float = FLOOR) -> float:
    """Return how far values may be from recorded ones: a share of the largest recorded value, and a floor.

    One more bit or less in a library's `exp` or in the order of a sum moves a value in proportion to the values that
    it was computed from, not by a fixed amount. What is stored as float16 was rounded by up to 2^-11 of itself.
    """
    stored = np.asarray(expected.detach() if isinstance(expected, Tensor) else expected)
    values = np.abs(stored.astype(np.float64))
    if stored.dtype == np.float16:
        relative += HALF
    return floor + relative * float(values[np.isfinite(values)].max(initial=0.0))


def sinusoid_floor(arguments: Tensor | np.ndarray) -> float:
    """Return how far a sinusoid of large arguments may be off: their rounding, which cosine passes on undiminished."""
    return FLOOR + ARGUMENT_ULPS * float(np.finfo(np.float32).eps) * float(
        np.abs(np.asarray(arguments)).max()
    )


def row(
    group: str,
    actual: Tensor | np.ndarray,
    expected: Tensor | np.ndarray,
    relative: float = RELATIVE,
    floor: float = FLOOR,
) -> Row:
    """Return the comparison of two arrays under the `allowance` of the second."""
    return Row(group, difference(actual, expected), allowance(expected, relative, floor))


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
