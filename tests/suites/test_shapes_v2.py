"""Version 2 of the shapes world: what is in it, what its panels hide, and that version 1 is untouched."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.suite import Shapes
from toraeval.suites.shapes.world import PANELS
from toraeval.suites.shapes.world2 import SPEED, TEST_SET, fastest_step, sample_scene
from toraeval.types import Case, UserError

TEST_HASH = "59825ed20cbf08f7687327e79412047532656bd1e42557cb973113a7144d9956"
PANEL_CASES = [entry for entry in TEST_SET if entry[4]]


@cache
def cases(frames: int) -> tuple[Case, ...]:
    return tuple(Shapes(version=2).cases(frames, 128, 128))


def test_the_set_is_pinned_and_is_not_version_1() -> None:
    suite = Shapes(version=2)
    assert suite.fingerprint() == {"suite": "shapes", "version": "2", "split": "test", "hash": TEST_HASH}
    assert Shapes().fingerprint() == suite.fingerprint()
    assert Shapes(version=1).cases(2, 64, 64)[0].tags.keys() == {"family", "objects", "drift", "canvas"}


def test_what_is_in_the_set() -> None:
    facts = Shapes(version=2).describe()
    assert facts["cases"] == len(cases(16)) >= 32
    assert 3 * facts["single_object_cases"] == 2 * facts["cases"]
    assert facts["panels"] == len(PANEL_CASES) == 12
    assert len({case.id for case in cases(16)}) == facts["cases"]
    assert {case.suite for case in cases(16)} == {"shapes-v2"}


def test_tags_say_what_is_hidden_where_windows_meet() -> None:
    for frames, seam in ((16, "none"), (64, "hidden"), (128, "hidden")):
        found = Counter((case.tags["occlusion"], case.tags["seam"]) for case in cases(frames))
        visible = "none" if frames == 16 else "visible"
        assert found == {("none", visible): 18, ("panel", seam): 12, ("object", seam): 6}
    assert {case.tags["speed"] for case in cases(16)} == {"slow", "fast"}


@pytest.mark.parametrize(("frames", "seam"), [(64, 32), (128, 64)])
def test_a_panel_hides_all_of_an_object_where_a_window_ends(frames: int, seam: int) -> None:
    for i, n, family, drift, panel in PANEL_CASES[::4]:
        renderer = SceneRenderer(sample_scene("test", i, n, family, drift, panel), frames, 256, 256)
        shown = renderer.masks()[0]
        areas = shown.sum((1, 2))
        assert areas[seam] == 0
        assert not renderer.visible()[0, seam]
        # whole at both ends, so that what comes out can be compared with what went in
        assert areas[0] >= 0.9 * areas.max()
        assert areas[-1] >= 0.9 * areas.max()


def test_speed_is_bounded() -> None:
    scenes = [sample_scene("train", index) for index in range(60)]
    fastest = [fastest_step(o.path_P2) for scene in scenes for o in scene.objects]
    assert max(fastest) <= SPEED + 1e-6
    assert max(fastest) > 0.95 * SPEED
    for case in Shapes(version=2).cases(16, 512, 512):
        steps = np.linalg.norm(np.diff(case.trajectories.tracks_NT2, axis=1), axis=-1)
        assert steps.max() <= SPEED + 0.05  # paths at the requested size


def test_every_object_is_whole_in_the_first_frame() -> None:
    for index in range(40):
        scene = sample_scene("validation", index)
        shown = SceneRenderer(scene, 2, 256, 256).masks()[:, 0].sum((1, 2))
        alone = [
            SceneRenderer(_only(scene, n), 2, 256, 256).masks()[0, 0].sum() for n in range(len(scene.objects))
        ]
        assert (shown >= 0.97 * np.array(alone)).all()


def _only(scene, n):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(scene, objects=(scene.objects[n],), panel=None)


def test_splits_are_disjoint_and_mixed_as_stated() -> None:
    hashes = [sample_scene(s, i).content() for s in ("train", "validation", "test") for i in range(20)]
    assert len(set(hashes)) == 60
    scenes = [sample_scene("train", index) for index in range(200)]
    assert 110 <= sum(len(s.objects) == 1 for s in scenes) <= 155
    assert 35 <= sum(s.panel is not None for s in scenes) <= 80
    assert {s.panel.colour for s in scenes if s.panel} == set(PANELS)


def test_a_panel_is_drawn_over_all_and_does_not_move() -> None:
    scene = sample_scene("test", 22, 1, "line", True, True)
    renderer = SceneRenderer(scene, 9, 128, 128)
    assert scene.panel is not None
    x, y = (round(v / 4) for v in scene.panel.centre)
    video, masks = renderer.render(), renderer.masks()
    assert (video[:, y, x] == PANELS[scene.panel.colour]).all()
    assert not masks[:, :, y, x].any()
    half_x, half_y = (int(v / 4) - 2 for v in scene.panel.half_sides)
    inside = (slice(y - half_y, y + half_y), slice(x - half_x, x + half_x))
    for t, flow in enumerate(renderer.dense_flow()):
        assert not flow[inside].any()
        assert t == 0 or flow.any()  # the background drifts
    for _, top, left, part in renderer.flow_patches():
        assert not part[y - top, x - left].any()


def test_unknown_versions_are_refused() -> None:
    with pytest.raises(UserError, match=r"version=3; allowed: 1, 2, e\.g\. suite\.version=1"):
        Shapes(version=3)
