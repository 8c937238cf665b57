"""Metrics of one sample share one rendered ground truth."""

import numpy as np

from tests.metrics.made_up import draw, line, make_case
from toraeval.metrics.shared.reference import share_reference
from toraeval.types import Reference, Video


def test_the_ground_truth_is_rendered_once_for_all_metrics():
    calls = []
    frames, masks = draw(np.rint(line(4)))

    def render_masks():
        calls.append("masks")
        return masks

    def render():
        calls.append("video")
        return Reference(Video.from_thwc(frames, 8.0), render_masks)

    case = share_reference(make_case(line(4), reference=render))
    calls.clear()
    for _ in range(3):
        assert case.reference().video.num_frames == 4
        assert case.reference().masks() is masks
    assert calls == ["video", "masks"]


def test_cases_without_ground_truth_or_masks_stay_as_they_are():
    case = make_case(line(4))
    assert share_reference(case) is case
    video = Video.from_thwc(draw(np.rint(line(4)))[0], 8.0)
    assert share_reference(make_case(line(4), reference=lambda: Reference(video))).reference().masks is None
