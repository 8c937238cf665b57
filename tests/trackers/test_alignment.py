"""Correlation search, sub-pixel refinement under occlusion, and exposure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from toraeval.trackers.shared.alignment import cut, exposure, refine, search
from toraeval.trackers.shared.frame_view import FrameView, LabPicture
from toraeval.trackers.shared.template import Support, Template, build_template

REFINE = {"sigma": 24.0, "iterations": 8, "max_move": 4.0}


def scene(
    x: float, y: float, occluder: float | None = None, gain: float = 1.0, bias: float = 0.0
) -> np.ndarray:
    """A 40-px orange square with a purple disc, drawn with sub-pixel edges."""
    size = 160
    grid_y, grid_x = np.mgrid[:size, :size].astype(np.float32)
    picture = np.full((size, size, 3), 120.0, np.float32)
    for distance, colour in (
        (np.maximum(abs(grid_x - x), abs(grid_y - y)) - 20, (240, 150, 40)),
        (np.hypot(grid_x - x, grid_y - y) - 9, (110, 50, 160)),
    ):
        cover = np.clip(0.5 - distance, 0, 1)[..., None]
        picture += cover * (np.array(colour, np.float32) * gain + bias - picture)
    if occluder is not None:
        picture[:, : int(occluder)] = (30, 180, 60)
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


@pytest.fixture(scope="module")
def template() -> Template:
    mask = np.zeros((160, 160), bool)
    mask[40:81, 50:91] = True  # the square around (70, 60)
    return build_template(FrameView(scene(70, 60)), Support(mask, "region"), scale=1, rim=2, num_points=20)


def lab(picture: np.ndarray) -> LabPicture:
    return FrameView(picture).lab_parts(1)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (1.3, -0.7), (-1.25, 1.5)])
def test_sub_pixel_shift_is_found(offset: tuple[float, float], template: Template) -> None:
    fit = refine(lab(scene(80 + offset[0], 64 + offset[1])), template, np.array([10.0, 4.0]), **REFINE)
    np.testing.assert_allclose(fit.shift, [10 + offset[0], 4 + offset[1]], atol=0.15)
    assert fit.agreement > 0.85
    assert fit.correlation > 0.98
    assert fit.inside == 1.0


def test_the_same_picture_gives_exactly_zero(template: Template) -> None:
    fit = refine(lab(scene(70, 60)), template, np.zeros(2), **REFINE)
    assert fit.shift.tolist() == [0.0, 0.0]
    assert fit.agreement == pytest.approx(1.0)


def test_a_half_covered_object_is_not_pulled(template: Template) -> None:
    fit = refine(lab(scene(71.5, 60.5, occluder=68)), template, np.array([0.0, 0.0]), **REFINE)
    np.testing.assert_allclose(fit.shift, [1.5, 0.5], atol=0.3)
    assert 0.4 < fit.agreement < 0.75
    assert fit.weights_HW[:, :10].max() < 0.1


def test_parts_outside_the_picture_do_not_count(template: Template) -> None:
    fit = refine(lab(scene(5, 60)), template, np.array([-64.5, 0.3]), **REFINE)
    np.testing.assert_allclose(fit.shift, [-65, 0], atol=0.2)
    assert 0.3 < fit.inside < 0.8
    assert fit.agreement > 0.85
    away = refine(lab(scene(5, 60)), template, np.array([-400.0, 0.0]), **REFINE)
    assert away.inside == 0.0
    assert away.agreement == 0.0


def test_a_step_beyond_the_reach_is_refused(template: Template) -> None:
    fit = refine(lab(scene(74, 60)), template, np.zeros(2), sigma=24.0, iterations=8, max_move=0.5)
    assert np.abs(fit.shift).max() <= 0.5


def test_search_finds_the_place_and_survives_flat_windows(template: Template) -> None:
    (place, score), *_ = search(lab(scene(87, 51)), template, np.array([8.0, -2.0]), 16, peaks=3, floor=0.2)
    assert place.tolist() == [17.0, -9.0]
    assert score > 0.95
    flat = np.full((160, 160, 3), 90, np.uint8)
    assert search(lab(flat), template, np.zeros(2), 10, peaks=3, floor=0.2) == []


def test_search_tells_colours_apart(template: Template) -> None:
    """Equal lightness, other hue: only the colour channels can say no."""
    other = cv2.cvtColor(scene(87, 51), cv2.COLOR_RGB2Lab)
    other[..., 1:] = 256 - other[..., 1:].astype(int).clip(1)
    picture = lab(cv2.cvtColor(other, cv2.COLOR_Lab2RGB))
    found = search(picture, template, np.array([8.0, -2.0]), 16, peaks=1, floor=0.0)
    assert all(score < 0.5 for _, score in found)


def test_windows_beyond_the_border_repeat_it() -> None:
    picture = lab(np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3))
    window = cut(picture, -2, 3, 4, 4)
    np.testing.assert_array_equal(window[0], window[2])
    np.testing.assert_array_equal(window[:, 1], window[:, 3])
    np.testing.assert_array_equal(cut(picture, 1, 1, 2, 2), picture.whole()[1:3, 1:3])
    np.testing.assert_array_equal(
        cut(picture, -9, -9, 3, 3), np.broadcast_to(picture.whole()[0, 0], (3, 3, 3))
    )


def test_exposure_is_measured_on_trusted_pixels(template: Template) -> None:
    gain, bias = np.array([0.8, 0.9, 1.0], np.float32), np.array([5.0, -3.0, 2.0], np.float32)
    window = template.lab_HW3 * gain + bias
    trust = np.ones(template.shape, np.float32)
    window[:, :15], trust[:, :15] = 0, 0
    found_gain, found_bias, moved = exposure(
        template, window, trust, np.ones(3, np.float32), np.zeros(3, np.float32)
    )
    np.testing.assert_allclose(found_gain, gain, atol=0.03)
    np.testing.assert_allclose(found_bias, bias, atol=5.0)
    assert 5 < moved < 60
    unseen = exposure(template, window, np.zeros_like(trust), gain, bias)
    assert unseen[0] is gain
    assert unseen[2] == np.inf
