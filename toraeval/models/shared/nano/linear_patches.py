"""Linear patch autoencoder of the embedded size: PCA of blocks of 4 frames x 32 x 32 pixels.

Like the video autoencoder of the full model it turns 1 + 4k frames into 1 + k latent
frames (the first frame is repeated in front), and it encodes clips and motion pictures
with the same weights. Being linear it is fitted in a minute and decodes by one product.

Shape legend: B batch, T frames, t latent frames, H, W pixels, h, w blocks, C components.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from toraeval.models.shared.nano.pipeline import BLOCK as BLOCK
from toraeval.models.shared.nano.pipeline import STRIDE_T as STRIDE_T
from toraeval.types import ByteArray, UserError, counted


class LinearPatchAutoencoder(nn.Module):
    """Encode and decode by one matrix; `basis` has orthonormal rows in grey levels (0..255).

    Args:
        components: number of latent channels C.
    """

    def __init__(self, components: int) -> None:
        super().__init__()
        size = STRIDE_T * BLOCK * BLOCK * 3
        self.components = components
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(components, size))
        self.register_buffer("scale", torch.ones(components))
        self.mean: Tensor
        self.basis: Tensor
        self.scale: Tensor

    def latent_size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Return (t, h, w) of a clip.

        Raises:
            UserError: when the clip is not 1 + 4k frames of a multiple of 32 pixels.
        """
        if frames % STRIDE_T != 1 or height % BLOCK or width % BLOCK:
            raise UserError(
                f"linear autoencoder: {counted(frames, 'frame')} of {width}x{height}; "
                f"allowed: 1 + 4k frames, sides divisible by {BLOCK}"
            )
        return 1 + (frames - 1) // STRIDE_T, height // BLOCK, width // BLOCK

    def encode_blocks(self, blocks_MK: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Project flattened blocks (M, 12288) of grey levels, ordered (frame, row, column, RGB), to float32 (M, C).

        They go to the device of the basis. `dtype=torch.bfloat16` is five times as fast on a CPU and off by 0.4 % of a
        component at most.
        """
        offset = self.basis @ self.mean
        product = blocks_MK.to(self.basis.device).to(dtype) @ self.basis.T.to(dtype)
        return (product.float() - offset) / self.scale

    def encode(self, frames_THWC: ByteArray) -> Tensor:
        """Encode one uint8 clip (T, H, W, 3) to float32 latents (C, t, h, w)."""
        t, h, w = self.latent_size(*frames_THWC.shape[:3])
        return self.encode_blocks(to_blocks(frames_THWC)).reshape(t, h, w, -1).permute(3, 0, 1, 2)

    @torch.no_grad()
    def decode_first(self, first_hwC: Tensor) -> Tensor:
        """Decode the latent of a first frame (h, w, C) to float32 (H, W, 3), grey levels not rounded."""
        rows, columns, _ = first_hwC.shape
        basis = self.basis[:, -BLOCK * BLOCK * 3 :]  # the last of the four equal frames of a block
        flat = first_hwC.flatten(0, 1).float() * self.scale
        pixels = torch.addmm(self.mean[-BLOCK * BLOCK * 3 :], flat, basis)
        return (
            pixels.view(rows, columns, BLOCK, BLOCK, 3)
            .permute(0, 2, 1, 3, 4)
            .reshape(rows * BLOCK, columns * BLOCK, 3)
        )

    @torch.no_grad()
    def decode(self, latents_CTHW: Tensor) -> ByteArray:
        """Decode float latents (C, t, h, w) to a uint8 clip (1 + 4 (t - 1), H, W, 3)."""
        _, t, h, w = latents_CTHW.shape
        out = np.empty((1 + STRIDE_T * (t - 1), h * BLOCK, w * BLOCK, 3), np.uint8)
        # one latent frame at a time keeps the working set small and the result independent of t; always in the same
        # memory, because new memory takes as long as the product
        pixels = self.basis.new_empty(h * w, self.basis.shape[1])
        frames = pixels.view(h, w, STRIDE_T, BLOCK, BLOCK, 3).permute(2, 0, 3, 1, 4, 5)
        for i in range(t):
            rows = latents_CTHW[:, i].permute(1, 2, 0).reshape(h * w, -1).float()
            torch.addmm(self.mean, rows * self.scale, self.basis, out=pixels)
            pixels.round_().clamp_(0, 255)
            stop = 1 + STRIDE_T * i
            place = torch.from_numpy(out[max(0, stop - STRIDE_T) : stop])
            place.view(-1, h, BLOCK, w, BLOCK, 3).copy_(frames if i else frames[-1:])
        return out


def to_blocks(frames_THWC: ByteArray) -> Tensor:
    """Cut a clip of 1 + 4k frames into uint8 blocks (t*h*w, 12288), the first frame repeated in front."""
    height, width = frames_THWC.shape[1:3]
    padded = np.concatenate([np.repeat(frames_THWC[:1], STRIDE_T - 1, axis=0), frames_THWC])
    t, h, w = len(padded) // STRIDE_T, height // BLOCK, width // BLOCK
    blocks = padded.reshape(t, STRIDE_T, h, BLOCK, w, BLOCK, 3).transpose(0, 2, 4, 1, 3, 5, 6)
    return torch.from_numpy(np.ascontiguousarray(blocks).reshape(t * h * w, -1))


@torch.no_grad()
def fit(blocks_MK: Tensor, components: int, iterations: int = 4, seed: int = 0) -> LinearPatchAutoencoder:
    """Fit the autoencoder by randomised PCA (Halko et al., 2011).

    Args:
        blocks_MK: uint8 or float blocks (M, 12288), see `to_blocks`.
        components: latent channels.
        iterations: power iterations.
        seed: seed of the random start.

    Returns:
        the model with `scale` set to the standard deviation of each component on the given blocks.
    """
    model = LinearPatchAutoencoder(components)
    data = blocks_MK.float()
    model.mean.copy_(data.mean(0))
    data -= model.mean
    probe = torch.randn(data.shape[1], components + 16, generator=torch.Generator().manual_seed(seed))
    for _ in range(iterations):
        probe = torch.linalg.qr(data.T @ (data @ probe)).Q
    _, spectrum, right = torch.linalg.svd(data @ probe, full_matrices=False)
    model.basis.copy_((probe @ right.T).T[:components])
    model.scale.copy_(spectrum[:components] / len(data) ** 0.5)
    return model
