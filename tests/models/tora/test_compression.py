"""Key-frame and average compression of trajectory flow against plain loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest

from toraeval.models.tora.conditions.compression import FLOW_SCALE, compress_flow

RNG = np.random.default_rng(0)
FLOW = RNG.standard_normal((9, 16, 32, 2)).astype(np.float32)
FLOW[0] = 0


def whole_frames() -> list[tuple[int, int, int, np.ndarray]]:
    return [(t, 0, 0, frame) for t, frame in enumerate(FLOW)]


@pytest.mark.parametrize("method", ["key_frame", "average"])
def test_every_value_is_a_mean_over_the_right_frames_and_pixels(method: str) -> None:
    out = compress_flow(whole_frames(), method, 9, 16, 32, stride=8, unshuffle=4)
    assert out.shape == (3, 2, 4, 32)
    frames = {1: [3], 2: [7]} if method == "key_frame" else {1: [1, 2, 3, 4], 2: [5, 6, 7, 8]}
    for t, h, w, channel in [(1, 0, 0, 0), (2, 1, 3, 31), (1, 1, 2, 17)]:
        axis, place = divmod(channel, 16)
        y, x = 8 * h + 2 * (place // 4), 8 * w + 2 * (place % 4)
        expected = FLOW[frames[t], y : y + 2, x : x + 2, axis].mean() / FLOW_SCALE
        np.testing.assert_allclose(out[t, h, w, channel], expected, rtol=1e-5)
    assert not out[0].any()


def test_patches_equal_whole_frames() -> None:
    parts = []
    for t, frame in enumerate(FLOW):  # cuts that meet inside a pooling cell
        parts += [(t, 0, 0, frame[:7]), (t, 7, 0, frame[7:, :13]), (t, 7, 13, frame[7:, 13:])]
    for method in ("key_frame", "average"):
        sizes = {"frames": 9, "height": 16, "width": 32, "stride": 8, "unshuffle": 2}
        np.testing.assert_allclose(
            compress_flow(parts, method, **sizes),
            compress_flow(whole_frames(), method, **sizes),
            rtol=1e-5,
            atol=1e-7,
        )


@pytest.mark.parametrize(
    ("method", "frames", "height", "stride", "unshuffle"),
    [("vae", 9, 16, 8, 8), ("average", 8, 16, 8, 8), ("average", 9, 20, 8, 8), ("key_frame", 9, 16, 8, 3)],
)
def test_what_does_not_divide_is_refused(
    method: str, frames: int, height: int, stride: int, unshuffle: int
) -> None:
    with pytest.raises(ValueError, match=r"is not one of|allowed are"):
        compress_flow([], method, frames, height, 32, stride, unshuffle)
