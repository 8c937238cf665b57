"""Paths as Wan-Move's released program takes them, and the latent cells that it makes of them.

Facts: ali-vilab/Wan-Move 27409be, `wan/modules/trajectory.py` and `wan/wan_move.py` (Apache-2.0).

Shape legend: N paths, T frames, t latent frames.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toraeval.types import BoolArray, Trajectories

STRIDE_T, STRIDE = 4, 8  # of the autoencoder
NOWHERE = -1


def arrays(paths: Trajectories) -> tuple[npt.NDArray[np.float32], BoolArray]:
    """Return float32 (1, T, N, 2) `(x, y)` pixels and bool (1, T, N) visibility, as its two `.npy` files hold them."""
    tracks = paths.tracks_NT2.transpose(1, 0, 2)[None].astype(np.float32)
    return np.ascontiguousarray(tracks), np.ascontiguousarray(paths.visible_NT.T[None])


def cells(paths: Trajectories) -> npt.NDArray[np.int64]:
    """Return the latent cell in which the program sees each path.

    Only every fourth moment counts. A moment that is hidden or outside the picture has no cell. The feature that is
    copied along a path is that of its cell in the first latent frame; without one, the program takes by its index -1
    the last cell of the picture, bottom right.

    Returns:
        int64 (N, t, 2), `(row, column)`, -1 where there is none.
    """
    tracks = paths.tracks_NT2[:, ::STRIDE_T].astype(np.float32)
    inside = ((tracks >= 0) & (tracks < np.asarray(paths.canvas))).all(-1)
    known = inside & paths.visible_NT[:, ::STRIDE_T]
    found = np.floor_divide(tracks, STRIDE).astype(np.int64)[..., ::-1]
    return np.where(known[..., None], found, NOWHERE)
