"""What is around the start of a path in the first frame, put down again along the path, as latents.

Both Wan-Move's copied latents (arXiv 2512.08765) and the entity binding of the other embedded models are made of it.
A published latent cell has 8 pixels, and copies of whole cells are close enough. Here it has 32, so the copy is made in
the decoded first frame, to the pixel, and encoded again: a disc around the start is put down where the path is, in each
of the four frames of a latent frame.

Shape legend: N paths, T frames, t latent frames, h, w latent cells, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import BLOCK, STRIDE_T, LinearPatchAutoencoder
from toraeval.types import FloatArray

RADIUS = 77  # pixels around the start that are copied
EXTRA = 1  # channels beside the latents: which part of a cell's block is copied


def copied_latents(vae: LinearPatchAutoencoder, first_hwC: Tensor, tracks_NT2: FloatArray) -> Tensor:
    """Copy what is around the start of each path along the path.

    A pixel that several objects reach shows the one whose centre is nearest.

    Args:
        vae: decodes the first frame and encodes the copies.
        first_hwC: latent of the first frame.
        tracks_NT2: `(x, y)` pixels at 1 + 4k moments.

    Returns:
        float32 (t, h, w, C + 1), t = 1 + k: latents of the blocks that hold a copy, and which part of them is copied;
        zero in the first latent frame and elsewhere.
    """
    rows, columns, channels = first_hwC.shape
    picture = vae.decode_first(first_hwC)
    moments = (tracks_NT2.shape[1] - 1) // STRIDE_T
    out = torch.zeros(1 + moments, rows, columns, channels + EXTRA)
    for k in range(moments):
        points_N42 = tracks_NT2[:, 1 + k * STRIDE_T : 1 + (k + 1) * STRIDE_T]
        low = ((points_N42.min((0, 1)) - RADIUS) // BLOCK).clip(0, (columns, rows)).astype(int)
        high = ((points_N42.max((0, 1)) + RADIUS) // BLOCK + 1).clip(0, (columns, rows)).astype(int)
        if not (low < high).all():
            continue
        (left, top), (w, h) = low * BLOCK, high - low
        frames = picture[top : top + h * BLOCK, left : left + w * BLOCK].expand(STRIDE_T, -1, -1, -1).clone()
        away = torch.full(frames.shape[:3], float(RADIUS**2))
        for n, f in ((n, f) for n in range(len(tracks_NT2)) for f in range(STRIDE_T)):
            _put(frames[f], away[f], (int(left), int(top)), picture, tracks_NT2[n, 0], points_N42[n, f])
        share = (away < RADIUS**2).view(STRIDE_T, h, BLOCK, w, BLOCK).float().mean((0, 2, 4))
        row, column = share.nonzero(as_tuple=True)
        blocks = frames.view(STRIDE_T, h, BLOCK, w, BLOCK, 3)[:, row, :, column]  # (M, 4, 32, 32, 3)
        latents = vae.encode_blocks(blocks.flatten(1), torch.bfloat16)
        out[1 + k, row + low[1], column + low[0]] = torch.cat((latents, share[row, column][:, None]), -1)
    return out


def copies_of_paths(vae: LinearPatchAutoencoder, first_1C1hw: Tensor, tracks_NT2: FloatArray) -> Tensor:
    """Return `copied_latents` in the order of a network's input, float32 (1, C + 1, t, h, w)."""
    return copied_latents(vae, first_1C1hw[0, :, 0].permute(1, 2, 0), tracks_NT2).permute(3, 0, 1, 2)[None]


def beside_first(cond_BC1hw: Tensor, copies: Tensor | None, frames: int) -> Tensor:
    """Put copies beside the first frame's latent, (B, 2C + 1, T, h, w) of the dtype of `cond_BC1hw`.

    Args:
        cond_BC1hw: latent of the first frame, repeated in each of `frames` latent frames.
        copies: `copied_latents` as (B, C + 1, T, h, w), or None for no path, which is zero.
        frames: T.
    """
    first = cond_BC1hw.expand(-1, -1, frames, -1, -1)
    if copies is None:
        b, c, t, h, w = first.shape
        copies = first.new_zeros(b, c + EXTRA, t, h, w)
    return torch.cat((first, copies.to(first.dtype)), 1)


def _put(
    frame_HW3: Tensor,
    away_HW: Tensor,
    corner: tuple[int, int],
    picture_HW3: Tensor,
    start: FloatArray,
    point: FloatArray,
) -> None:
    """Copy the disc around `start` of the picture to `point` of a part of a frame, where nothing nearer lies."""
    (across, down), (height, width) = corner, picture_HW3.shape[:2]
    step_x, step_y = (round(float(point[axis] - start[axis])) for axis in (0, 1))
    x, y = round(float(point[0])), round(float(point[1]))
    left, right = (
        max(across, x - RADIUS, step_x),
        min(across + away_HW.shape[1], x + RADIUS + 1, width + step_x),
    )
    top, bottom = max(down, y - RADIUS, step_y), min(down + away_HW.shape[0], y + RADIUS + 1, height + step_y)
    if left >= right or top >= bottom:
        return
    square = (torch.arange(top, bottom) - y)[:, None] ** 2 + (torch.arange(left, right) - x)[None] ** 2
    place = (slice(top - down, bottom - down), slice(left - across, right - across))
    nearer = square < away_HW[place]
    away_HW[place] = torch.where(nearer, square.float(), away_HW[place])
    source = picture_HW3[top - step_y : bottom - step_y, left - step_x : right - step_x]
    frame_HW3[place] = torch.where(nearer[..., None], source, frame_HW3[place])
