"""Entity binding: what an object looks like, painted along its path as further input of the trajectory extractor.

The colour code of a path says where something moves but not what it is, so paths that meet cannot be distinguished
(Tora2, arXiv 2507.05963, binds entities to paths for that reason). Here the look is the mean of the first frame's
latents around the start of the path; the extractor's first convolution turns it into an embedding.

Shape legend: N paths, T frames, t latent frames, h, w latent cells, C channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import BLOCK, STRIDE_T
from toraeval.types import FloatArray

START_SIGMA = 24.0  # pixels around the start that count as the object
PATH_SIGMA = 32.0  # pixels around the path that are painted


def entity_maps(first_hwC: Tensor, tracks_NT2: FloatArray) -> Tensor:
    """Paint the look of each path's start along the path.

    Args:
        first_hwC: latent of the first frame.
        tracks_NT2: `(x, y)` pixels at 1 + 4k moments.

    Returns:
        float32 (t, h, w, C + 1): the painted looks, weighted where paths overlap, and how much is painted, in [0, 1].
    """
    tracks = torch.from_numpy(np.ascontiguousarray(tracks_NT2, np.float32))
    rows, columns = first_hwC.shape[:2]
    near = falloff(tracks, rows, columns, PATH_SIGMA)
    moments = 1 + (tracks.shape[1] - 1) // STRIDE_T
    later = near[:, 1:].unflatten(1, (moments - 1, STRIDE_T)).amax(2)
    weights = torch.cat((near[:, :1], later), 1)  # (N, t, h, w)
    start = falloff(tracks[:, :1], rows, columns, START_SIGMA)[:, 0].flatten(1)
    looks = (start / start.sum(1, keepdim=True)) @ first_hwC.float().flatten(0, 1)
    total = weights.sum(0)
    painted = torch.einsum("nthw,nc->thwc", weights, looks) / total.clamp_min(1.0)[..., None]
    return torch.cat((painted, total.clamp_max(1.0)[..., None]), -1)


def falloff(points_NT2: Tensor, rows: int, columns: int, sigma: float) -> Tensor:
    """Return float32 (N, T, rows, columns): a Gaussian of each cell centre's distance from a point, 1 at the point."""
    across, down = ((torch.arange(n) + 0.5) * BLOCK - 0.5 for n in (columns, rows))
    x, y = (
        torch.exp(-0.5 * ((centres - points_NT2[..., axis, None]) / sigma) ** 2)
        for axis, centres in ((0, across), (1, down))
    )
    return y[..., :, None] * x[..., None, :]
