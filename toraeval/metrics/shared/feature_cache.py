"""Features of reference clips on disk, so that they are computed once for all models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from toraeval.metrics.shared.reference import reference_video
from toraeval.store.keys import digest
from toraeval.store.sealed import read_arrays, write_arrays
from toraeval.types import Case, FloatArray, Video


def reference_features(
    metric: str,
    case: Case,
    cache: Path | None,
    identity: tuple[Any, ...],
    features: Callable[[Video], FloatArray],
) -> FloatArray:
    """Return float64 (N, D) features of a case's reference clip, from their file where it is there and whole.

    Args:
        metric: who asks.
        case: has a reference.
        cache: folder of the files, or None; a case without a hash has no file either.
        identity: JSON-able data that changes whenever the features do.
        features: computes them.

    Raises:
        UserError: the clip has another length or size than the case.
    """
    file = None
    if cache is not None and case.content_hash:
        key = digest("reference", *identity, case.content_hash, case.frames, case.height, case.width)
        file = cache / f"{key[:32]}.npz"
        known = read_arrays(file)
        if known is not None:
            return known["features"]
    found = features(reference_video(metric, case))
    if file is not None:
        write_arrays(file, {"features": found})
    return found
