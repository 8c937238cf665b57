"""Displacement maps: paths as the sparse, blurred flow that drag- and trajectory-conditioned U-Nets take.

As in MotionCtrl (TencentARC/MotionCtrl 6242d55) and DragNUWA (bensonbs/DragNUWA-Fork 428bf91) each step of a path is
written where it starts, in the frame where it ends, and spread by a Gaussian. Here the Gaussian is evaluated on a
grid of one sample per 8 pixels instead of being drawn and shrunk, and it peaks at 1 as DragNUWA's does (MotionCtrl's
sums to 1, a constant factor that a network absorbs).

Shape legend: N objects, T frames, t latent frames, H, W pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toraeval.types import FloatArray, UserError, counted

Float32Array = npt.NDArray[np.float32]
CELL = 32  # pixels of a latent cell
STRIDE = 8  # pixels between samples
STRIDE_T = 4  # frames of a latent frame
SIGMA = 20.0  # pixels, as DragNUWA's kernel
UNIT = 16.0  # pixels of movement per frame that become 1
CHANNELS = STRIDE_T * (CELL // STRIDE) ** 2 * 2


def displacement_maps(tracks_NT2: FloatArray, width: int, height: int, sigma: float = SIGMA) -> Float32Array:
    """Turn paths into the motion input of the embedded U-Nets.

    Frame k > 0 holds the sum over objects of (p_k - p_(k-1)) / 16 px, weighted by a Gaussian around p_(k-1) that is 1
    at its centre; it is sampled at the centres of 8 x 8 pixel blocks. A path that rests leaves no mark, and of a path
    outside the picture only the part of its Gaussian inside is seen.

    Args:
        tracks_NT2: `(x, y)` pixels of the (width, height) canvas at 1 + 4k moments.
        width, height: canvas in pixels, multiples of 32.
        sigma: standard deviation of the Gaussian in pixels.

    Returns:
        float32 (t, H/32, W/32, 128), t = 1 + k; the first latent frame is zero. Channels are ordered (frame of the
        latent frame, sample row, sample column, x or y displacement).

    Raises:
        UserError: another number of moments or another size.
    """
    frames = tracks_NT2.shape[1]
    if frames % STRIDE_T != 1 or width % CELL or height % CELL or min(width, height) < CELL:
        raise UserError(
            f"displacement maps: {counted(frames, 'moment')} on {width}x{height}; "
            f"allowed: 1 + 4k moments, sides divisible by {CELL}"
        )
    steps = np.diff(tracks_NT2, axis=1).transpose(1, 0, 2) / UNIT
    starts = tracks_NT2[:, :-1].transpose(1, 0, 2)
    across, down = (
        np.exp(-0.5 * ((_centres(size) - starts[..., axis, None]) / sigma) ** 2).astype(np.float32)
        for axis, size in ((0, width), (1, height))
    )
    moved = across[..., None] * steps[:, :, None, :].astype(np.float32)
    rows, columns = height // STRIDE, width // STRIDE
    flow = down.transpose(0, 2, 1) @ moved.reshape(frames - 1, -1, columns * 2)
    return fold(flow.reshape(frames - 1, rows, columns, 2))


def fold(samples_Trc2: Float32Array) -> Float32Array:
    """Fold the samples of 4k frames into latent cells.

    Args:
        samples_Trc2: movement since the frame before, 1 for 16 pixels, one sample per 8 pixels; rows and columns are
            multiples of 4.

    Returns:
        float32 maps (1 + k, rows / 4, columns / 4, 128), the first one zero; see `displacement_maps`.
    """
    _, rows, columns, _ = samples_Trc2.shape
    side = CELL // STRIDE
    cells = samples_Trc2.reshape(-1, STRIDE_T, rows // side, side, columns // side, side, 2)
    folded = cells.transpose(0, 2, 4, 1, 3, 5, 6).reshape(-1, rows // side, columns // side, CHANNELS)
    maps = np.zeros((1 + len(folded), *folded.shape[1:]), np.float32)
    maps[1:] = folded
    return maps


def _centres(size: int) -> FloatArray:
    return np.arange(size // STRIDE, dtype=np.float64) * STRIDE + (STRIDE - 1) / 2
