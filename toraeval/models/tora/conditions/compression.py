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


class FlowCompressor:
    """Collects flow frame by frame and gives the extractor's input.

    Args:
        method: `key_frame` or `average`.
        frames: 1 + 4k, or any number where `chunk` is given.
        height, width: pixels, multiples of `stride`.
        stride: pixels per latent cell.
        unshuffle: samples of each latent cell along one side; `stride / unshuffle` pixels are averaged into one.
        chunk: see `latent_intervals`.
    """

    def __init__(
        self,
        method: str,
        frames: int,
        height: int,
        width: int,
        stride: int,
        unshuffle: int,
        chunk: int | None = None,
    ) -> None:
        if method not in ("key_frame", "average"):
            raise ValueError(f"compression {method!r} is not one of key_frame, average")
        if (
            (chunk is None and (frames - 1) % INTERVAL)
            or height % stride
            or width % stride
            or stride % unshuffle
        ):
            raise ValueError(
                f"{frames} frames of {width}x{height} with stride {stride} and unshuffle {unshuffle}: allowed are "
                f"1 + {INTERVAL}k frames, sides divisible by the stride, a stride divisible by unshuffle"
            )
        self.method, self.unshuffle, self.pool = method, unshuffle, stride // unshuffle
        samples = (height // self.pool, width // self.pool, 2)
        intervals = latent_intervals(frames, chunk)
        self._interval = np.repeat(np.arange(len(intervals)), [stop - start for start, stop in intervals])
        self._keys = {start + (stop - start) // 2 for start, stop in intervals}
        self._sums = np.zeros((len(intervals), *samples), np.float32)

    def add(self, patch: FlowPatch) -> None:
        """Take in the flow of a part of a frame; parts of the same frame must not overlap."""
        frame, top, left, flow = patch
        if self.method == "key_frame" and frame not in self._keys:
            return
        pool = self.pool
        bottom, right = top + flow.shape[0], left + flow.shape[1]
        y0, x0, y1, x1 = top // pool, left // pool, -(-bottom // pool), -(-right // pool)
        padded = np.zeros(((y1 - y0) * pool, (x1 - x0) * pool, 2), np.float32)
        padded[top - y0 * pool : bottom - y0 * pool, left - x0 * pool : right - x0 * pool] = flow
        means = cv2.resize(
            padded, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA
        )  # exact for whole factors
        self._sums[self._interval[frame], y0:y1, x0:x1] += means

    def result(self) -> Float32Array:
        """Return float32 (t, h, w, 2 * unshuffle**2), 1 per `FLOW_SCALE` pixels per frame."""
        counts = np.bincount(self._interval) if self.method == "average" else np.ones(len(self._sums))
        factors = (1 / counts / FLOW_SCALE).astype(np.float32)
        t, rows, columns, _ = self._sums.shape
        u = self.unshuffle
        cells = self._sums.reshape(t, rows // u, u, columns // u, u, 2).transpose(0, 1, 3, 5, 2, 4)
        return cells.reshape(t, rows // u, columns // u, -1) * factors[:, None, None, None]


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
    """Compress the flow of a clip, given as patches; see `FlowCompressor` for arguments and result.

    Raises:
        ValueError: an unknown method, or sizes that do not divide.
    """
    compressor = FlowCompressor(method, frames, height, width, stride, unshuffle, chunk)
    for patch in patches:
        compressor.add(patch)
    return compressor.result()
