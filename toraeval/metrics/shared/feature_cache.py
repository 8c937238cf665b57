"""Features of reference clips on disk, so that they are computed once for all models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from toraeval.store.keys import digest
from toraeval.store.sealed import read_arrays, write_arrays
from toraeval.types import Case, FloatArray


def cache_file(cache: Path | None, case: Case, *identity: Any) -> Path | None:
    """Return where features of a case's reference are kept, or None without a folder or a hash of the case.

    Args:
        cache: the folder, or None.
        case: whose reference is looked at.
        identity: JSON-able data that changes whenever the features do.
    """
    if cache is None or not case.content_hash:
        return None
    key = digest("reference", *identity, case.content_hash, case.frames, case.height, case.width)
    return cache / f"{key[:32]}.npz"


def kept(file: Path | None, make: Callable[[], FloatArray]) -> FloatArray:
    """Return float64 (N, D) features from a file where it is there and whole, else made anew and written."""
    known = None if file is None else read_arrays(file)
    if known is not None:
        found: FloatArray = known["features"]
        return found
    features = make()
    if file is not None:
        write_arrays(file, {"features": features})
    return features
