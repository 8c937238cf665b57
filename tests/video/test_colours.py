"""The quick way to RGB gives the bytes of FFmpeg's own conversion."""

from __future__ import annotations

import av
import numpy as np
import pytest

from toraeval.video.colours import _FLAGS, _PLANAR, Converter


@pytest.mark.parametrize("name", _PLANAR)
def test_planar_formats_give_ffmpegs_bytes(name: str) -> None:
    rng = np.random.default_rng(0)
    convert = Converter()
    for size in ((64, 64), (63, 77), (34, 258)):
        picture = av.VideoFrame.from_ndarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8), format="rgb24")
        for matrix, levels in ((2, 0), (1, 1), (5, 2), (9, 1)):
            frame = picture.reformat(format=name)
            frame.colorspace, frame.color_range = matrix, levels
            expected = frame.to_ndarray(format="rgb24", interpolation=_FLAGS)
            assert np.array_equal(convert.to_rgb(frame)[0], expected)
