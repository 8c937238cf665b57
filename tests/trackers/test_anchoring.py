"""When a place counts as the point, and when it does not."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.trackers.shared.anchoring import Anchoring, FollowedPoint
from toraeval.trackers.shared.frame_view import FrameView

QUERY = np.array([90.0, 80.0])


def view(x: float, y: float, body: tuple[int, int, int] = (215, 45, 40), fade: float = 0.0) -> FrameView:
    """A red disc with a white one inside, on a smooth background of 320 x 240."""
    grid_y, grid_x = np.mgrid[:240, :320]
    frame = np.stack([120 + 20 * np.sin(grid_x / 70 + k) + 15 * np.cos(grid_y / 50) for k in range(3)], -1)
    frame = frame.astype(np.uint8)
    centre = (round(x * 16), round(y * 16))
    cv2.circle(frame, centre, 34 * 16, body, -1, cv2.LINE_AA, 4)
    cv2.circle(frame, centre, 14 * 16, (245, 245, 245), -1, cv2.LINE_AA, 4)
    return FrameView(np.rint(frame + fade * (120.0 - frame)).astype(np.uint8))


@pytest.fixture
def point() -> FollowedPoint:
    return LucasKanade()._start(view(*QUERY), QUERY)


def test_the_expected_place_is_refined(point: FollowedPoint) -> None:
    point.expected = np.array([11.0, 4.0])
    fit = Anchoring().find(point, view(102.5, 83.25), has_flow=True)
    assert fit is not None
    np.testing.assert_allclose(fit.shift * point.template.scale, [12.5, 3.25], atol=0.2)


def test_an_absent_object_is_not_found(point: FollowedPoint) -> None:
    assert Anchoring().find(point, view(-200, -200), has_flow=False) is None


def test_another_colour_is_not_the_lost_object(point: FollowedPoint) -> None:
    point.lost_frames = 3
    assert Anchoring().find(point, view(*QUERY, body=(40, 170, 70)), has_flow=False) is None


def test_a_lost_object_is_found_anywhere_unless_that_is_asked_too_much(point: FollowedPoint) -> None:
    point.lost_frames = 3
    far = view(260, 180)
    fit = Anchoring().find(point, far, has_flow=False)
    assert fit is not None
    np.testing.assert_allclose(fit.shift * point.template.scale, [170, 100], atol=0.3)
    assert Anchoring(refound_distance=1.0).find(point, far, has_flow=False) is None


def test_a_weak_place_is_left_for_a_much_better_one(point: FollowedPoint) -> None:
    """Half of the object is still covered where it was; the whole object is elsewhere."""
    both = view(*QUERY).rgb_HW3.copy()
    both[:, :92] = (60, 90, 200)
    both[120:] = view(230, 180).rgb_HW3[120:]
    fit = Anchoring().find(point, FrameView(both), has_flow=True)
    assert fit is not None
    np.testing.assert_allclose(fit.shift * point.template.scale, [140, 100], atol=0.3)
    stays = Anchoring(switch_gain=1.0).find(point, FrameView(both), has_flow=True)
    assert stays is not None
    assert np.abs(stays.shift * point.template.scale).max() < 1.0


def test_exposure_follows_a_found_object_within_its_limit(point: FollowedPoint) -> None:
    rules = Anchoring()
    faded = view(*QUERY, fade=0.1)
    fit = rules.find(point, faded, has_flow=True)
    assert fit is not None
    lost = dataclasses.replace(point, lost_frames=1)
    rules.expose(lost, fit)
    assert (lost.gain_3 == 1).all(), "a point that was just found again may be the wrong one"
    Anchoring(exposure_reach=0.01).expose(point, fit)
    assert (point.gain_3 == 1).all()
    rules.expose(point, fit)
    assert (point.gain_3 < 1).any()
    again = rules.find(point, faded, has_flow=True)
    assert again is not None
    assert again.agreement > fit.agreement


def test_a_fade_during_a_loss_is_accepted_up_to_a_jump(point: FollowedPoint) -> None:
    point.lost_frames = 5
    faded = view(*QUERY, fade=0.35)
    strict = Anchoring(exposure_jump=0.0).find(point, faded, has_flow=False)
    kind = Anchoring(exposure_jump=60.0).find(point, faded, has_flow=False)
    assert kind is not None
    assert strict is None or strict.agreement < kind.agreement
    assert kind.agreement > 0.7
