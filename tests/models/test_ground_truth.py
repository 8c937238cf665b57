from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.fake_parts import FakeSuite
from toraeval.models.ground_truth import GroundTruth
from toraeval.types import UserError


def test_returns_the_render_whatever_the_seed() -> None:
    case = FakeSuite().cases(8, 64, 64)[1]
    assert case.reference is not None
    for seed in (0, 5):
        video = GroundTruth().generate(case, seed)
        np.testing.assert_array_equal(video.frames_TCHW, case.reference().video.frames_TCHW)
        assert video.info["length_mode"] == "exact"


def test_suite_without_render_is_refused() -> None:
    case = dataclasses.replace(FakeSuite().cases(8, 64, 64)[0], reference=None)
    with pytest.raises(UserError, match=r"case alpha.*no ground truth at 8 frames; allowed: "):
        GroundTruth().generate(case, 0)
