"""From trajectories to the input of the trajectory extractor at the embedded size.

Shape legend: N objects, T moments, C channels, t latent frames, h, w latent cells.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.copies import copies_of_paths
from toraeval.models.shared.nano.linear_patches import STRIDE_T, LinearPatchAutoencoder
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.trajectory import flow_patches, integer_points, trajectory_patches
from toraeval.models.tora.conditions.compression import compress_flow
from toraeval.types import ByteArray, FloatArray


def motion_latents(vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, height: int, width: int) -> Tensor:
    """Draw and encode the motion picture of 1 + 4k moments; float32 (1, C, t, h, w).

    Blocks that stay white are encoded once, so the cost grows with the marks and not with the picture.
    """
    points = integer_points(tracks_NT2, width, height)
    t, h, w = vae.latent_size(points.shape[1], height, width)
    video = np.full((STRIDE_T, height, width, 3), 255, np.uint8)
    white = vae.encode(video[:1])[:, 0, 0, 0]
    latents = white.view(-1, 1, 1, 1).repeat(1, t, h, w)
    by_chunk: dict[int, list[tuple[int, int, int, ByteArray]]] = {}
    for frame, top, left, patch in trajectory_patches(points, width, height):
        by_chunk.setdefault((frame + STRIDE_T - 1) // STRIDE_T, []).append((frame, top, left, patch))
    for chunk, patches in by_chunk.items():
        video[:] = 255
        for frame, top, left, patch in patches:
            video[(frame - 1) % STRIDE_T, top : top + patch.shape[0], left : left + patch.shape[1]] = patch
        low = [min(p[1 + k] for p in patches) // 32 for k in (0, 1)]
        high = [-(-max(p[1 + k] + p[3].shape[k] for p in patches) // 32) for k in (0, 1)]
        part = video[:, low[0] * 32 : high[0] * 32, low[1] * 32 : high[1] * 32]
        # a chunk of four frames is encoded as the second latent of a five-frame clip
        encoded = vae.encode(np.concatenate([part[:1], part]))[:, 1]
        latents[:, chunk, low[0] : high[0], low[1] : high[1]] = encoded
    return latents[None]


def path_input(
    config: STDiTConfig,
    vae: LinearPatchAutoencoder,
    tracks_NT2: FloatArray,
    height: int,
    width: int,
    first_1C1hw: Tensor | None = None,
) -> Tensor:
    """Make what a network is given of the targets of 1 + 4k moments, as `compression` and `binding` say.

    Args:
        config: of the network.
        vae: fitted autoencoder.
        tracks_NT2: targets in pixels of the (width, height) picture.
        height, width: of the picture in pixels.
        first_1C1hw: latent of the first frame; needed with `binding=entity`.

    Returns:
        float32 (1, C, t, h, w): `motion_in_channels` for the extractor, then with entity binding copied latents.
    """
    if config.compression == "vae":
        flow = motion_latents(vae, tracks_NT2, height, width)
    else:
        patches = flow_patches(integer_points(tracks_NT2, width, height), width, height)
        sizes = (tracks_NT2.shape[1], height, width, config.latent_stride, config.motion_unshuffle)
        cells = compress_flow(patches, config.compression, *sizes)
        flow = torch.from_numpy(cells).permute(3, 0, 1, 2)[None]
    if config.binding == "none":
        return flow
    assert first_1C1hw is not None
    return torch.cat((flow, copies_of_paths(vae, first_1C1hw, tracks_NT2)), 1)
