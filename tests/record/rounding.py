"""How a recording is made small, and written."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Arrays = dict[str, Any]


def save(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an .npz of the same bytes for the same arrays, as small as zip can."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, value in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(value), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (2000, 1, 1, 0, 0, 0)), buffer.getvalue(), zipfile.ZIP_DEFLATED
            )


def rounded(state: Mapping[str, Tensor], levels: int) -> tuple[dict[str, Tensor], Arrays]:
    """Return weights of which a matrix takes 2 * levels + 1 values, and the arrays that store them.

    A vector takes 255 values. What is not a weight (counters, tables, frequencies) is stored as it is. No levels leave
    everything as it is.
    """
    if not levels:
        return dict(state), {}
    weights, numbers, index, arrays = {}, [], [], {}
    for name, value in state.items():
        small = value.ndim < 2 or value.numel() < 256
        largest, top = float(value.abs().max()), 127 if small else levels
        if not value.is_floating_point() or not largest or "freqs" in name:
            weights[name], arrays[f"sd/{name}"] = value, value.numpy()
            continue
        spread = float(value.std()) if value.numel() > 1 else largest
        done = small or len(value.abs().unique()) <= 2
        reach = largest if done else min(largest, 2.2 * spread)
        exponent = (math.floor if small else round)(math.log2(top / reach))
        if top == 1:  # mostly zeros, so that large matrices are stored in about a bit per weight
            whole = value.sign() * (value.abs() > (0.0 if done else 1.5 * spread))
        else:
            whole = (value * 2.0**exponent).round().clamp(-top, top)
        weights[name] = whole * 2.0**-exponent
        numbers.append(whole.to(torch.int8).flatten())
        index.append((name, list(value.shape), exponent))
    return weights, {"weights": torch.cat(numbers).numpy(), "weights_index": json.dumps(index), **arrays}


def coarse(value: Tensor, levels: int) -> Tensor:
    return value.bfloat16().float() if levels and value.is_floating_point() else value


def half(value: Tensor, levels: int) -> np.ndarray:
    return value.numpy().astype(np.float16 if levels else np.float32)


@contextmanager
def first_outputs(places: Mapping[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """Collect the first output of each module while the block runs."""
    seen: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: None if name in seen else seen.update({name: output})

    hooks = [module.register_forward_hook(keep(name)) for name, module in places.items()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
