"""Paths as ATI's released program takes them.

Its file holds 121 moments, of which its loader picks 81: the first, then two of every three. The points of our 81
frames stand exactly where it picks; the moments that it passes over lie between their neighbours.

Facts: bytedance/ATI 168b443, `wan/utils/motion.py` (Apache-2.0).

Shape legend: N paths, T frames.
"""

from __future__ import annotations

import numpy as np

from toraeval.models.shared.flow_colour import Float32Array
from toraeval.trajectories.formats.ati import SAMPLES, SCALE
from toraeval.types import Trajectories

FRAMES = 81
PICKED = np.concatenate([[0], 1 + np.arange(1, 2 * (SAMPLES - 1), 3) // 2])
"""Which of the 121 moments the loader picks, int64 (81,)."""


def samples(paths: Trajectories) -> Float32Array:
    """Return what its `.pth` file holds.

    Args:
        paths: 81 moments, in pixels of the picture that goes with them.

    Returns:
        float32 (N, 121, 1, 3): 8 x (x, y, visible).

    Raises:
        ValueError: another number of moments.
    """
    if paths.num_frames != FRAMES:
        raise ValueError(f"{paths.num_frames} moments; ATI takes {FRAMES}")
    made = np.empty((paths.num_objects, SAMPLES, 3))
    made[:, PICKED] = np.concatenate([paths.tracks_NT2, paths.visible_NT[..., None]], axis=-1)
    between = np.setdiff1d(np.arange(SAMPLES), PICKED)
    made[:, between, :2] = (made[:, between - 1, :2] + made[:, between + 1, :2]) / 2
    made[:, between, 2] = made[:, between - 1, 2]
    return (made[:, :, None] * SCALE).astype(np.float32)
