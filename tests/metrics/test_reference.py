"""Metrics of one sample share one rendered ground truth."""

from dataclasses import replace

import numpy as np

from tests.metrics.made_up import draw, line, make_case
from toraeval import registry
from toraeval.metrics.shared.reference import reference_frames, share_reference
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


def test_frames_of_the_ground_truth_are_rendered_alone_and_once():
    case = registry.build("suite", {"name": "shapes"}).cases(9, 64, 64, 8)[7]
    whole, calls = case.reference().video.thwc, []

    def some(chosen):
        calls.append(list(chosen))
        return case.reference_frames(chosen)

    shared = share_reference(replace(case, reference_frames=some))
    chosen = np.array([2, 5, 8])
    for _ in range(2):
        np.testing.assert_array_equal(reference_frames("ssim", shared, chosen), whole[chosen])
    assert calls == [[2, 5, 8]]
    chosen = np.array([8, 1, 2])
    np.testing.assert_array_equal(reference_frames("ssim", shared, chosen), whole[chosen])
    np.testing.assert_array_equal(reference_frames("ssim", shared, chosen[:2]), whole[chosen[:2]])
    assert calls == [[2, 5, 8], [1]], "what was asked for last is not rendered again"
    shared.reference()
    np.testing.assert_array_equal(reference_frames("ssim", shared, np.array([0])), whole[:1])
    assert len(calls) == 2, "a clip that was rendered as a whole is not rendered again"


def test_frames_of_a_clip_that_is_there_as_a_whole_are_taken_from_it():
    frames, _ = draw(np.rint(line(4)))
    case = make_case(line(4), reference=lambda: Reference(Video.from_thwc(frames, 8.0)))
    np.testing.assert_array_equal(reference_frames("ssim", case, np.array([1, 3])), frames[[1, 3]])
