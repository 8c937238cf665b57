from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.fake_parts import FakeSuite
from toraeval.models.static import Static
from toraeval.types import UserError


def test_repeats_the_first_frame() -> None:
    case = FakeSuite().cases(8, 64, 64)[2]
    video = Static().generate(case, 3)
    assert (video.num_frames, video.height, video.width, video.fps) == (8, 64, 64, 8.0)
    for frame in video.thwc:
        np.testing.assert_array_equal(frame, case.first_frame_HWC)


def test_case_without_first_frame_is_refused() -> None:
    case = dataclasses.replace(FakeSuite().cases(8, 64, 64)[0], first_frame_HWC=None)
    with pytest.raises(UserError, match=r"case alpha: model static needs a first frame"):
        Static().generate(case, 0)
