"""What every suite offers, and what all of them share: checks, safe ids and content hashes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from toraeval.types import ByteArray, Case, Part, Trajectories, UserError

MIN_FRAMES = 2
MIN_SIDE = 16


class Suite(Part):
    """A named, versioned set of test cases.

    Attributes:
        name: registry name.
        version: raised whenever the same request would give other cases.
        notes: what it left out or took for granted, a sentence each; printed and kept in the record.
    """

    __slots__ = ()

    version: str
    notes: tuple[str, ...] = ()

    def count_cases(self) -> int | None:
        """Return the number of cases where it is known without making them, None elsewhere."""
        return None

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Return the cases at one length and size, in a fixed order; `limit` keeps the first N."""
        raise NotImplementedError(f"suite {self.name} has no cases")

    def describe(self) -> dict[str, Any]:
        """Return JSON-able facts for `list suites`."""
        return {}


def check_request(suite: str, frames: int, height: int, width: int, limit: int | None) -> None:
    """Refuse lengths and sizes that no case can have.

    Raises:
        UserError: `frames` below 2, a side below 16 pixels, or `limit` below 1.
    """
    if frames < MIN_FRAMES:
        raise UserError(f"suite {suite}: frames={frames}; allowed: whole numbers >= {MIN_FRAMES}")
    if min(height, width) < MIN_SIDE:
        raise UserError(f"suite {suite}: size {width}x{height}; allowed: {MIN_SIDE} pixels and more per side")
    if limit is not None and limit < 1:
        raise UserError(f"suite {suite}: limit={limit}; allowed: whole numbers >= 1, or none")


def case_seed(identifier: str) -> int:
    """Return a seed in 0..2^32-1 that depends on the case's id only."""
    return int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:4], "big")


def content_hash(
    prompt: str,
    trajectories: Trajectories,
    request: dict[str, Any],
    first_frame_HWC: ByteArray | None,
    last_frame_HWC: ByteArray | None = None,
    camera: Trajectories | None = None,
) -> str:
    """Return the SHA-256 over everything of a case that a generator can see.

    Args:
        prompt: caption.
        trajectories: paths at the requested canvas and length.
        request: JSON-able numbers of the case: frames, height, width, fps, seed.
        first_frame_HWC, last_frame_HWC: uint8 frames, or None.
        camera: unscored background paths, or None.
    """
    head = [prompt, list(trajectories.canvas), list(trajectories.tracks_NT2.shape), sorted(request.items())]
    digest = hashlib.sha256(json.dumps(head, ensure_ascii=False).encode())
    hash_paths(digest, trajectories)
    if first_frame_HWC is not None:
        digest.update(repr(first_frame_HWC.shape).encode() + np.ascontiguousarray(first_frame_HWC).tobytes())
    if last_frame_HWC is not None:
        digest.update(b"last" + np.ascontiguousarray(last_frame_HWC).tobytes())
    if camera is not None:
        digest.update(f"camera {camera.tracks_NT2.shape}".encode())
        hash_paths(digest, camera)
    return digest.hexdigest()


def hash_paths(digest: hashlib._Hash, paths: Trajectories) -> None:
    """Add coordinates and visibility of paths to a running hash."""
    digest.update(np.ascontiguousarray(paths.tracks_NT2, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(paths.visible_NT).tobytes())
