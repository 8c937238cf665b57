"""Latent trajectory guidance: the first frame's latents around the start of a path, put down again along the path.

The idea of Wan-Move (arXiv 2512.08765): what moves is given by copying the latent at a path's start to the places that
the path visits, in a copy of the first-frame condition. There one copied cell of 8 pixels per track and many tracks
make up an object; here a cell has 32 pixels and an object one path, so all cells around the start are copied, and the
part of the movement that whole cells cannot say is given beside them, for each of the four frames of a latent frame.

Shape legend: N paths, T frames, t latent frames, h, w latent cells, C channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import BLOCK, STRIDE_T
from toraeval.types import FloatArray

RADIUS = 2.4  # cells around the start that are copied
EXTRA = (
    1 + 2 * STRIDE_T
)  # whether a cell holds a copy, and the rest of the movement in x and y for each frame


def copied_latents(first_hwC: Tensor, tracks_NT2: FloatArray) -> Tensor:
    """Copy latents of the first frame along the paths.

    A cell that several objects reach shows the one whose centre is nearest.

    Args:
        first_hwC: latent of the first frame.
        tracks_NT2: `(x, y)` pixels at 1 + 4k moments.

    Returns:
        float32 (t, h, w, C + 9), t = 1 + k: copied latents, 1 where there is a copy, and the rest of the movement in
        cells, x and y of each frame; all zero in the first latent frame and where nothing is copied.
    """
    rows, columns, channels = first_hwC.shape
    tracks = torch.from_numpy(np.ascontiguousarray(tracks_NT2, np.float32))
    moments = (tracks.shape[1] - 1) // STRIDE_T
    steps = (tracks[:, 1:] - tracks[:, :1]).unflatten(1, (moments, STRIDE_T)) / BLOCK  # (N, k, 4, 2) cells
    whole = steps.mean(2).round()
    rest = (steps - whole[:, :, None]).transpose(2, 3).flatten(2)  # (N, k, 8): x of four frames, then y
    starts = (tracks[:, 0] + 0.5) / BLOCK - 0.5  # in cells, centres at integers
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    from_x, from_y = (line - whole[..., axis, None, None] for axis, line in ((0, x), (1, y)))  # (N, k, h, w)
    away = ((from_x - starts[:, None, None, :1]) ** 2 + (from_y - starts[:, None, None, 1:]) ** 2).sqrt()
    inside = (from_x >= 0) & (from_x < columns) & (from_y >= 0) & (from_y < rows)
    away = away.masked_fill(~inside | (away > RADIUS), float("inf"))
    nearest, object_kHW = away.min(0)
    k, row, column = nearest.isfinite().nonzero(as_tuple=True)
    n = object_kHW[k, row, column]
    copied = first_hwC[from_y[n, k, row, column].long(), from_x[n, k, row, column].long()].float()
    out = torch.zeros(1 + moments, rows, columns, channels + EXTRA)
    out[1 + k, row, column] = torch.cat((copied, torch.ones(len(n), 1), rest[n, k]), -1)
    return out
