"""Damage done to exact clips: its amount is the asked one, and nothing moves."""

import numpy as np

from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import sample_scene
from toraeval.video import degradation


def test_noise_has_the_asked_strength_and_is_reproducible():
    grey = np.full((3, 64, 64, 3), 128, np.uint8)
    noisy = degradation.noise(grey, 10.0, np.random.default_rng(0))
    assert abs(noisy.astype(float).std() - 10.0) < 0.1
    assert abs(noisy.astype(float).mean() - 128.0) < 0.2
    assert np.array_equal(noisy, degradation.noise(grey, 10.0, np.random.default_rng(0)))


def test_blur_spreads_a_point_by_sigma_and_keeps_its_place():
    point = np.zeros((1, 65, 65, 3), np.uint8)
    point[0, 20:45, 20:45] = 200
    spread = degradation.blur(point, 4.0)[0, 32, :, 0].astype(float)
    edge = -np.diff(spread)[32:]  # the derivative of a blurred step is the Gaussian itself
    place = np.arange(32, 64) + 0.5
    mean = (edge * place).sum() / edge.sum()
    assert abs(mean - 44.5) < 0.1
    assert abs(np.sqrt((edge * (place - mean) ** 2).sum() / edge.sum()) - 4.0) < 0.25


def test_codecs_change_little_and_keep_size_and_length():
    clip = SceneRenderer(sample_scene("validation", 0, 1, "line"), 4, 98, 98).render()
    strong, weak = degradation.blocks(clip, 10), degradation.blocks(clip, 90)
    film = degradation.h264(clip, 8.0)
    assert strong.shape == weak.shape == film.shape == clip.shape

    def error(other):
        return np.abs(other.astype(float) - clip).mean()

    assert 0 < error(weak) < error(strong)
    assert 0 < error(film) < 6


def test_fading_leaves_the_first_frame_and_the_background_alone():
    renderer = SceneRenderer(sample_scene("validation", 0, 1, "line", drift=False), 4, 128, 128)
    clip = renderer.render()
    backgrounds = np.stack([renderer.background(t) for t in range(4)])
    objects = renderer.masks().any(0)
    faded = degradation.fade_objects(clip, backgrounds, objects, sigma=1.0, share=0.5, ramp=2)
    assert np.array_equal(faded[0], clip[0])
    x, y = np.rint(renderer.tracks_NT2[0, 3]).astype(int)
    middle = 0.5 * (clip[3, y, x].astype(float) + backgrounds[3, y, x])
    assert np.abs(faded[3, y, x] - middle).max() <= 2
    far = np.abs(faded[3].astype(int) - clip[3]).max(-1) > 0
    ys, xs = np.nonzero(far)
    reach = np.abs(np.stack([xs - x, ys - y])).max()
    assert reach < 1.25 * renderer.scene.objects[0].radius / 4 + 12
