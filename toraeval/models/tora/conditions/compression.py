"""Two ways to compress trajectory flow in time without an autoencoder, for comparison with the autoencoder.

Tora (arXiv 2407.21705, section 3.2 and its ablation) weighs three inputs of the trajectory extractor: the colour-coded
picture through the video autoencoder (its choice), the flow of the middle frame of each interval (`key_frame`), and
the mean flow of each interval (`average`), the last two brought to latent size by pixel unshuffling.

Intervals are those of the latent frames: frame 0 alone, then four frames each, and so again in every chunk of frames
that the autoencoder takes at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from toraeval.models.shared.trajectory import Float32Array

INTERVAL = 4  # frames per latent frame
FLOW_SCALE = 8.0  # pixels per frame that become 1

FlowPatch = tuple[int, int, int, Float32Array]  # frame, top, left, flow (h, w, 2) in pixels


def latent_intervals(frames: int, chunk: int | None = None) -> list[tuple[int, int]]:
    """List the frames (start, stop) behind each latent frame.

    Args:
        frames: length of the clip.
        chunk: frames that the autoencoder takes at a time, filled up in front to whole intervals; None is the clip.
    """
    intervals: list[tuple[int, int]] = []
    for begin in range(0, frames, chunk or frames):
        end = min(begin + (chunk or frames), frames)
        first = (end - begin - 1) % INTERVAL + 1
        starts = [begin, *range(begin + first, end, INTERVAL)]
        intervals += zip(starts, [*starts[1:], end], strict=True)
    return intervals


def compress_flow(
    patches: Iterable[FlowPatch],
    method: str,
    frames: int,
    height: int,
    width: int,
    stride: int,
    unshuffle: int,
    chunk: int | None = None,
) -> Float32Array:
    """Compress the flow of a clip to the extractor's input.

    Args:
        patches: flow of parts of frames; parts of the same frame must not overlap.
        method: `key_frame` or `average`.
        frames: 1 + 4k, or any number where `chunk` is given.
        height, width: pixels, multiples of `stride`.
        stride: pixels per latent cell.
        unshuffle: samples of each latent cell along one side; `stride / unshuffle` pixels are averaged into one.
        chunk: see `latent_intervals`.

    Returns:
        float32 (t, h, w, 2 * unshuffle**2), 1 per `FLOW_SCALE` pixels per frame.

    Raises:
        ValueError: an unknown method, or sizes that do not divide.
    """
    if method not in ("key_frame", "average"):
        raise ValueError(f"compression {method!r} is not one of key_frame, average")
    if (chunk is None and (frames - 1) % INTERVAL) or height % stride or width % stride or stride % unshuffle:
        raise ValueError(
            f"{frames} frames of {width}x{height} with stride {stride} and unshuffle {unshuffle}: allowed are "
            f"1 + {INTERVAL}k frames, sides divisible by the stride, a stride divisible by unshuffle"
        )
    pool, u = stride // unshuffle, unshuffle
    intervals = latent_intervals(frames, chunk)
    counts = np.array([stop - start for start, stop in intervals])
    interval = np.repeat(np.arange(len(intervals)), counts)
    keys = {start + (stop - start) // 2 for start, stop in intervals}
    sums = np.zeros((len(intervals), height // pool, width // pool, 2), np.float32)
    for frame, top, left, flow in patches:
        if method == "average" or frame in keys:
            y, x = top // pool, left // pool
            means = _pooled(flow, top - y * pool, left - x * pool, pool)
            sums[interval[frame], y : y + means.shape[0], x : x + means.shape[1]] += means
    t, rows, columns, _ = sums.shape
    cells = sums.reshape(t, rows // u, u, columns // u, u, 2).transpose(0, 1, 3, 5, 2, 4)
    factors = (1 / (counts if method == "average" else np.ones(t)) / FLOW_SCALE).astype(np.float32)
    return cells.reshape(t, rows // u, columns // u, -1) * factors[:, None, None, None]


def _pooled(flow: Float32Array, top: int, left: int, pool: int) -> Float32Array:
    """Return the means of squares of `pool` pixels, of a part that begins `top` and `left` pixels within its first."""
    height, width = -(-(top + flow.shape[0]) // pool), -(-(left + flow.shape[1]) // pool)
    padded = np.zeros((height * pool, width * pool, 2), np.float32)
    padded[top : top + flow.shape[0], left : left + flow.shape[1]] = flow
    return cv2.resize(padded, (width, height), interpolation=cv2.INTER_AREA)  # exact for whole factors
