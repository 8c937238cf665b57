"""Rendering of the shapes world: flow, masks, windows and drift say the same as the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import BACKGROUNDS, COLOURS, DRIFT_PX, DRIFTS, Scene, sample_scene

STILL = (14, 3, "zigzag", False)
DRIFTING = (13, 2, "crossing", True)


def scene(index: int, objects: int, family: str, drift: bool) -> Scene:
    return sample_scene("test", index, objects, family, drift)


@pytest.mark.parametrize("entry", [STILL, DRIFTING])
def test_dense_flow_is_the_displacement(entry: tuple[int, int, str, bool]) -> None:
    renderer = SceneRenderer(scene(*entry), 9, 128, 128)
    masks, tracks = renderer.masks(), renderer.tracks_NT2
    for t, flow in enumerate(renderer.dense_flow()):
        if t == 0:
            assert not flow.any()
            continue
        for n, mask in enumerate(masks[:, t - 1]):
            assert mask.any()
            expected = np.broadcast_to(tracks[n, t] - tracks[n, t - 1], flow[mask].shape)
            np.testing.assert_allclose(flow[mask], expected, atol=1e-5)
        rest = flow[~masks[:, t - 1].any(0)]
        drift = renderer.offsets_T2[t] - renderer.offsets_T2[t - 1]
        assert drift.any() == entry[3]
        np.testing.assert_allclose(rest, np.broadcast_to(drift, rest.shape), atol=1e-5)


@pytest.mark.parametrize("direction", DRIFTS)
def test_drift_moves_the_background_a_pixel_a_frame(direction: str) -> None:
    drifting = replace(scene(*DRIFTING), drift=direction)
    renderer = SceneRenderer(drifting, 17, 128, 128)
    dx, dy = (int(v) for v in DRIFTS[direction])
    assert renderer.offsets_T2[-1].tolist() == [dx * DRIFT_PX / 4, dy * DRIFT_PX / 4]
    for t in (1, 16):
        before, after = renderer.background(t - 1), renderer.background(t)
        moved = np.roll(before, (dy, dx), (0, 1))
        assert np.array_equal(moved[1:-1, 1:-1], after[1:-1, 1:-1])
    assert not np.array_equal(renderer.background(0), renderer.background(16))


def test_still_background_stays() -> None:
    renderer = SceneRenderer(scene(*STILL), 5, 128, 128)
    assert np.array_equal(renderer.background(0), renderer.background(4))
    mean = renderer.background(0).mean((0, 1))
    np.testing.assert_allclose(mean, BACKGROUNDS[renderer.scene.background], atol=15)


def test_pixels_outside_the_windows_are_background() -> None:
    renderer = SceneRenderer(scene(*DRIFTING), 5, 128, 128)
    video = renderer.render()
    for t in range(5):
        free = np.ones((128, 128), bool)
        for n in range(2):
            x0, y0, x1, y1 = renderer.window(n, t)
            free[y0:y1, x0:x1] = False
        assert np.array_equal(video[t][free], renderer.background(t)[free])
        assert np.array_equal(video[t], renderer.frame(t))


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "diamond"])
@pytest.mark.parametrize("size", [64, 200])
def test_window_holds_all_of_the_object(shape: str, size: int) -> None:
    base = scene(0, 1, "line", False)
    one = replace(base, objects=(replace(base.objects[0], shape=shape),))
    renderer = SceneRenderer(one, 3, size, size)
    (x0, y0, x1, y1), body, disc = renderer.coverage(0, 1)
    assert body.shape == disc.shape == (y1 - y0, x1 - x0)
    for edge in (body[0], body[-1], body[:, 0], body[:, -1]):
        assert not edge.any()
    radius = one.objects[0].radius * size / 512
    assert 1.2 < body.sum() / radius**2 < 3.3
    assert (disc <= body).all()


def test_later_objects_hide_earlier_ones() -> None:
    base = scene(0, 1, "line", False)
    under = base.objects[0]
    over = replace(under, colour="red", shape="circle", radius=0.7 * under.radius)
    renderer = SceneRenderer(replace(base, objects=(under, over)), 3, 128, 128)
    lower, upper = renderer.masks()[:, 1]
    assert not (lower & upper).any()
    assert lower.any()
    assert renderer.visible().tolist() == [[False] * 3, [True] * 3]
    ring = renderer.frame(1)[upper]
    assert (ring == COLOURS["red"]).all(-1).mean() > 0.5


def test_an_object_outside_is_not_visible() -> None:
    base = scene(0, 1, "line", False)
    path = base.objects[0].path_P2.copy()
    path[512:] = (-200.0, 300.0)
    renderer = SceneRenderer(replace(base, objects=(replace(base.objects[0], path_P2=path),)), 4, 128, 128)
    assert renderer.visible().tolist() == [[True, True, False, False]]
    assert renderer.masks()[0].any((1, 2)).tolist() == [True, True, False, False]
    assert np.array_equal(renderer.render()[3], renderer.background(3))
