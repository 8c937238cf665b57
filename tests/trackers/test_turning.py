"""What `lucas_kanade` looks for grows and turns with what is seen; hidden patches are found again."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from toraeval.suites.photos.render import PhotoRenderer
from toraeval.suites.photos.suite import scene_of
from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.trackers.shared.alignment import refine
from toraeval.trackers.shared.frame_view import FrameView
from toraeval.trackers.shared.template import Support, build_template
from toraeval.trackers.shared.turning import drawn, similarity_step
from toraeval.types import Video

SIDE = 96
PIVOT = np.array([50.0, 44.0])


def picture(growth=0.0, angle=0.0):
    """Return blobs (96, 96, 3), grown and turned about the pivot."""
    rng = np.random.default_rng(3)
    blobs = cv2.resize(
        rng.uniform(40, 215, (16, 16, 3)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    matrix = cv2.getRotationMatrix2D(PIVOT.tolist(), -np.degrees(angle), 1 + growth)
    turned = cv2.warpAffine(blobs, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.clip(turned, 0, 255).astype(np.uint8)


def template_of(rgb, kind="patch"):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[34:55, 40:61] = True
    return build_template(FrameView(rgb), Support(mask, kind), scale=1, rim=2, num_points=10)


def fitted(template, rgb):
    return refine(FrameView(rgb).lab_parts(1), template, np.zeros(2), sigma=24.0, iterations=8, max_move=4.0)


@pytest.mark.parametrize(("growth", "angle"), [(0.06, 0.0), (0.0, 0.07), (-0.05, -0.06)])
def test_a_step_says_how_far_a_picture_has_grown_and_turned(growth, angle):
    template = template_of(picture())
    step = similarity_step(template, fitted(template, picture(growth, angle)), PIVOT)
    # from what is seen now to frame 0, hence the inverse
    inverse = np.exp(-1j * angle) / (1 + growth) - 1
    assert step == pytest.approx([inverse.real, inverse.imag], abs=0.012)


def test_one_colour_says_nothing():
    flat = np.full((SIDE, SIDE, 3), 120, np.uint8)
    template = template_of(flat)
    assert similarity_step(template, fitted(template, flat), PIVOT) is None


@pytest.mark.parametrize("kind", ["patch", "region"])
def test_a_template_drawn_as_it_was_is_the_same_and_a_turned_one_meets_the_turned_picture(kind):
    first = FrameView(picture()).lab(1)
    template = template_of(picture(), kind)
    same = drawn(template, first, PIVOT, np.eye(2))
    for name in ("lab_HW3", "weight_HW", "correlation_HW", "flat_HW", "gradient_x_HW3", "gradient_y_HW3"):
        np.testing.assert_allclose(getattr(same, name), getattr(template, name), atol=1e-4, err_msg=name)
    angle = 0.5
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    now = picture(0.0, angle)
    turned = drawn(template, first, PIVOT, back)
    assert fitted(turned, now).correlation > 0.97 > fitted(template, now).correlation + 0.3


def errors(split, index, **options):
    scene = scene_of(split, index)[1]
    renderer = PhotoRenderer(scene, 16, 512, 512)
    truth = renderer.tracks_NT2
    tracker = replace(LucasKanade(), **options)
    found = tracker.track(Video.from_thwc(renderer.render(), 8.0), truth[:, 0])
    seen = renderer.visible()[:, 1:]
    return np.abs(found.tracks_NT2 - truth).sum(-1)[:, 1:][seen].mean()


def test_points_on_a_ground_that_turns_are_followed_to_a_fraction_of_a_pixel():
    assert errors("validation", 7) < 0.5 < errors("validation", 7, turn_rounds=0)


def test_a_cut_out_that_was_hidden_is_found_again_where_its_way_leads():
    assert errors("test", 44) < 0.5


def test_a_poor_patch_that_jumps_at_once_is_looked_for_far_away():
    assert errors("test", 10) < 0.5 < errors("test", 10, search_blind_px=6.0)
