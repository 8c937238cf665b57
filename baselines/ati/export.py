"""Paths as ATI's released program takes them; the layout and which moments it picks stand with the file format.

Shape legend: N paths, T frames.
"""

from __future__ import annotations

from toraeval.models.shared.flow_colour import Float32Array
from toraeval.trajectories.formats import ati
from toraeval.types import Trajectories, counted


def samples(paths: Trajectories) -> Float32Array:
    """Return what its `.pth` file holds.

    Args:
        paths: 81 moments, in pixels of the picture that goes with them.

    Returns:
        float32 (N, 121, 1, 3): 8 x (x, y, visible).

    Raises:
        ValueError: another number of moments.
    """
    if paths.num_frames != ati.FRAMES:
        raise ValueError(f"{counted(paths.num_frames, 'moment')}; ATI takes {ati.FRAMES}")
    return ati.triples(ati.placed(paths))
