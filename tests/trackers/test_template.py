"""What belongs to a point in frame 0."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from toraeval.trackers.shared.frame_view import FrameView
from toraeval.trackers.shared.template import Support, build_template, find_support, to_scale

OPTIONS = {"step": 5, "share": 0.6, "max_radius": 84, "min_solidity": 0.85, "patch_radius": 10}


def background(height: int = 240, width: int = 320) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = 128 + 30 * np.sin(x / 60) + 25 * np.cos(y / 45)
    return np.repeat(waves[..., None], 3, axis=2).astype(np.uint8)


def draw(picture: np.ndarray, shape: str, centre: tuple[int, int], radius: int) -> np.ndarray:
    """Draw a red shape with a blue disc; return its mask."""
    x, y = centre
    mask = np.zeros(picture.shape[:2], np.uint8)
    if shape == "circle":
        cv2.circle(mask, centre, radius, 1, -1)
    else:
        angles = {"square": [45, 135, 225, 315], "triangle": [-90, 30, 150], "diamond": [0, 90, 180, 270]}[
            shape
        ]
        corners = [[x + radius * np.cos(np.radians(a)), y + radius * np.sin(np.radians(a))] for a in angles]
        cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1)
    picture[mask > 0] = (200, 40, 40)
    cv2.circle(picture, centre, radius // 3, (40, 60, 220), -1, cv2.LINE_AA)
    return mask > 0


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "diamond"])
def test_a_disc_inside_a_shape_gives_the_whole_shape(shape: str) -> None:
    picture = background()
    mask = draw(picture, shape, (150, 110), 50)
    support = find_support(FrameView(picture).lab(1), 150.3, 109.8, **OPTIONS)
    assert support.kind == "region"
    overlap = (support.mask_HW & mask).sum() / (support.mask_HW | mask).sum()
    assert overlap > 0.9


def test_background_texture_and_large_areas_give_a_patch() -> None:
    rng = np.random.default_rng(0)
    textured = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    large = background()
    draw(large, "circle", (150, 110), 100)
    for picture, radius in ((background(), 10), (textured, 10), (large, 10)):
        support = find_support(FrameView(picture).lab(1), 60.0, 55.0, **OPTIONS)
        assert support.kind == "patch"
        assert support.mask_HW.sum() == (2 * radius + 1) ** 2


def test_a_query_on_the_border_gives_what_is_inside() -> None:
    support = find_support(FrameView(background()).lab(1), -0.5, 239.4, **OPTIONS)
    assert support.mask_HW.sum() == 11 * 11


def test_structure_separates_objects_from_smooth_background() -> None:
    picture = background()
    draw(picture, "square", (150, 110), 50)
    view = FrameView(picture)
    values = {}
    for name, (x, y) in {"object": (150.0, 110.0), "background": (40.0, 200.0)}.items():
        support = find_support(view.lab(1), x, y, **OPTIONS)
        values[name] = build_template(view, support, scale=1, rim=2, num_points=20).texture
    assert values["background"] < 0.5 < 5 < values["object"]


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_template_is_cut_where_the_support_lies(scale: int) -> None:
    picture = background(241, 317)  # a size that no scale divides
    mask = draw(picture, "circle", (150, 110), 50)
    view = FrameView(picture)
    template = build_template(view, Support(mask, "region"), scale=scale, rim=2, num_points=20)
    height, width = template.shape
    reduced = view.lab(scale)[template.top : template.top + height, template.left : template.left + width]
    np.testing.assert_array_equal(template.lab_HW3, reduced)
    middle = np.array([template.left, template.top]) + (np.array([width, height]) - 1) / 2
    np.testing.assert_allclose(middle, to_scale(np.array([150.0, 110.0]), scale), atol=0.6)
    assert template.weight_HW.sum() == pytest.approx(1.0, abs=1e-4)
    assert template.flat_HW.sum() == pytest.approx(1.0, abs=1e-4)


def test_recolouring_keeps_gradients_consistent() -> None:
    picture = background()
    mask = draw(picture, "circle", (150, 110), 50)
    template = build_template(FrameView(picture), Support(mask, "region"), scale=1, rim=2, num_points=20)
    gain, bias = np.array([0.5, 1.0, 2.0], np.float32), np.array([3.0, -4.0, 0.0], np.float32)
    other = template.recoloured(gain, bias)
    np.testing.assert_allclose(other.lab_HW3, template.lab_HW3 * gain + bias)
    np.testing.assert_allclose(other.gradient_x_HW3, template.gradient_x_HW3 * gain)
    assert template.recoloured(np.ones(3, np.float32), np.zeros(3, np.float32)) is template


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_lab_is_the_same_whichever_part_is_asked_for_first(scale: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (241, 317, 3), dtype=np.uint8)
    whole = cv2.cvtColor(picture, cv2.COLOR_RGB2Lab)
    below, beside = -241 % scale, -317 % scale
    whole = cv2.copyMakeBorder(whole, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // scale, whole.shape[0] // scale)
    whole = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    parts = FrameView(picture).lab_parts(scale)
    height, width = parts.shape[:2]
    for top, left, bottom, right in [(10, 20, 40, 45), (height - 5, 0, height, width), (0, 0, height, 9)]:
        np.testing.assert_array_equal(parts.part(top, left, bottom, right), whole[top:bottom, left:right])
    np.testing.assert_array_equal(parts.whole(), whole)
