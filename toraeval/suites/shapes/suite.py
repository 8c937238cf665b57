"""The `shapes` suite: procedural test cases whose truth (tracks, visibility, masks) is exact.

The test set is fixed by the suite's version; its hash stands in every result. Seeds of the
training, validation and test splits never meet (see `shapes_world.sample_scene`).
Version 2 (`shapes_world2`) adds panels that hide objects where windows of 16 frames end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from toraeval.suites.shapes import world as shapes_world
from toraeval.suites.shapes import world2 as shapes_world2
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import CANVAS, Scene
from toraeval.suites.shared.base import check_request
from toraeval.types import Case, Reference, Trajectories, UserError, Video

VERSIONS = (1, 2)
WINDOW = 16  # new frames of a window of the models that make windows one after another
FAST = 12.0  # pixels a frame of the canvas, from which on a case counts as fast
FPS = 8.0
MIN_SIDE = 64  # below it an object is only a few pixels wide

# (scene index in the test split, number of objects, family of the first object, background drifts)
_TEST_SET: tuple[tuple[int, int, str, bool], ...] = (
    (0, 1, "line", False),
    (1, 1, "curve", False),
    (2, 1, "circle", False),
    (3, 1, "wave", False),
    (4, 1, "zigzag", False),
    (5, 1, "spiral", False),
    (6, 1, "figure_eight", False),
    (7, 1, "stop_and_go", False),
    (8, 1, "shake", False),
    (9, 1, "line", True),
    (10, 1, "wave", True),
    (11, 2, "crossing", False),
    (12, 2, "curve", False),
    (13, 2, "crossing", True),
    (14, 3, "zigzag", False),
    (15, 3, "crossing", False),
)


class Shapes:
    """Procedural cases: ten path families, one to three objects, occlusion, drifting backgrounds.

    Version 1 has 16 test cases; version 2 has 36, two thirds with one object, bounds the speed and adds panels.

    Args:
        split: `test` (the published set), or `validation` / `train` for development.
        count: number of cases for the other splits, >= 1; the test set has its own.
        version: 1 or 2 of the world.

    Raises:
        UserError: an unknown split or version, or no cases.
    """

    name = "shapes"

    def __init__(self, split: str = "test", count: int = 16, version: int = 1) -> None:
        if split not in ("test", "validation", "train"):
            raise UserError(f"suite shapes: unknown split '{split}'; allowed: test, validation, train")
        if count < 1:
            raise UserError(f"suite shapes: count={count}; allowed: whole numbers >= 1")
        if version not in VERSIONS:
            raise UserError(
                f"suite shapes: version={version}; allowed: {', '.join(map(str, VERSIONS))}, e.g. suite.version=1"
            )
        self.split, self.count, self.version = split, count, str(version)

    def _entries(self) -> list[tuple[str, Scene, int]]:
        if self.split != "test":
            return [
                (f"{self.split}_{i:05d}", sample_scene(self.split, i, int(self.version)), i)
                for i in range(self.count)
            ]
        if self.version == "1":
            return [
                (_case_id(i, family, n, drift), shapes_world.sample_scene("test", i, n, family, drift), i)
                for i, n, family, drift in _TEST_SET
            ]
        return [
            (
                _case_id(i, family, n, drift, panel),
                shapes_world2.sample_scene("test", i, n, family, drift, panel),
                i,
            )
            for i, n, family, drift, panel in shapes_world2.TEST_SET
        ]

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Build the cases at one length and size.

        Args:
            frames: number of frames, >= 2.
            height, width: size in pixels, >= 64.
            limit: keep only the first so many, >= 1.

        Raises:
            UserError: for fewer than 2 frames, a size below 64 or a limit below 1.
        """
        if min(height, width) < MIN_SIDE:  # first, because it allows less than the common check
            raise UserError(
                f"suite shapes: size {width}x{height}; allowed: {MIN_SIDE} pixels and more per side"
            )
        check_request(self.name, frames, height, width, limit)
        return [
            _case(self.version, cid, scene, seed, frames, height, width)
            for cid, scene, seed in self._entries()[:limit]
        ]

    def describe(self) -> dict[str, Any]:
        """Return what `list suites` shows: counts by objects and family, and the hash."""
        scenes = [scene for _, scene, _ in self._entries()]
        families = sorted({o.family for s in scenes for o in s.objects})
        return {
            "name": self.name,
            "version": self.version,
            "split": self.split,
            "cases": len(scenes),
            "single_object_cases": sum(len(s.objects) == 1 for s in scenes),
            "drifting_backgrounds": sum(s.drift is not None for s in scenes),
            **({} if self.version == "1" else {"panels": sum(s.panel is not None for s in scenes)}),
            "path_families": families,
            "hash": self.fingerprint()["hash"],
            "licence": "generated, Apache-2.0",
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, split and SHA-256 over every scene of the set."""
        digest = hashlib.sha256()
        for cid, scene, _ in self._entries():
            digest.update(cid.encode())
            digest.update(_scene_bytes(scene))
        return {"suite": self.name, "version": self.version, "split": self.split, "hash": digest.hexdigest()}


def sample_scene(split: str, index: int, version: int) -> Scene:
    """Draw scene number `index` of a split (`train`, `validation`, `test`) of a version (1 or 2) of the world."""
    world = shapes_world if version == 1 else shapes_world2
    return world.sample_scene(split, index)


def _case_id(index: int, family: str, objects: int, drift: bool, panel: bool = False) -> str:
    return f"{index:02d}_{family}_{objects}obj" + ("_drift" if drift else "") + ("_panel" if panel else "")


def _scene_bytes(scene: Scene) -> bytes:
    # rounded to 1e-6 px so that the last bit of a maths library does not change the hash
    head: list[object] = [scene.caption, scene.background, scene.drift]
    head += [[o.shape, o.colour, o.disc, round(o.radius, 6), o.family] for o in scene.objects]
    tracks = np.round(scene.tracks(129) * 1e6).astype(np.int64)
    grid = np.round(scene.grid_GG3 * 1e6).astype(np.int64)
    if scene.panel is not None:
        sides = [round(v, 6) for v in (*scene.panel.centre, *scene.panel.half_sides)]
        head.append([scene.panel.colour, *sides])
    return json.dumps(head).encode() + tracks.tobytes() + grid.tobytes()


def _case(version: str, cid: str, scene: Scene, seed: int, frames: int, height: int, width: int) -> Case:
    renderer = SceneRenderer(scene, frames, width, height)
    trajectories = Trajectories(
        tracks_NT2=renderer.tracks_NT2,
        visible_NT=renderer.visible(),
        canvas=(width, height),
        fps=FPS,
        source=f"shapes-v{version}/{cid}",
        names=tuple(f"{o.colour} {o.shape}" for o in scene.objects),
    )
    first = renderer.frame(0)
    digest = hashlib.sha256(_scene_bytes(scene))
    digest.update(json.dumps([version, cid, frames, height, width]).encode() + first.tobytes())
    return Case(
        id=cid,
        suite=f"shapes-v{version}",
        prompt=scene.caption,
        trajectories=trajectories,
        frames=frames,
        height=height,
        width=width,
        fps=FPS,
        seed=seed,
        first_frame_HWC=first,
        tags={
            "family": scene.objects[0].family,
            "objects": len(scene.objects),
            "drift": scene.drift or "none",
            "canvas": CANVAS,
            **({} if version == "1" else _tags(scene, trajectories)),
        },
        reference=_reference(renderer),
        content_hash=digest.hexdigest(),
    )


def _tags(scene: Scene, trajectories: Trajectories) -> dict[str, str]:
    """Return what version 2 says of a case beyond version 1.

    `occlusion`: by what an object is hidden at some moment, `panel`, `object` or `none`; `speed`: `fast` from 12
    canvas pixels a frame in a clip of 16, else `slow`; `seam`: whether an object is `hidden` at a frame where a
    window of 16 new frames ends and another begins, all are `visible` there, or there is `none`.
    """
    visible = trajectories.visible_NT
    hidden = not visible.all()
    fastest = max(shapes_world2.fastest_step(o.path_P2) for o in scene.objects)
    # the last window has to be followed by another one
    seams = visible[:, WINDOW : visible.shape[1] - 1 : WINDOW]
    return {
        "occlusion": "panel" if scene.panel is not None else "object" if hidden else "none",
        "speed": "fast" if fastest >= FAST else "slow",
        "seam": "none" if not seams.size else "visible" if seams.all() else "hidden",
    }


def _reference(renderer: SceneRenderer) -> Callable[[], Reference]:
    def build() -> Reference:
        video = Video.from_thwc(renderer.render(), FPS, {"source": "render", "frames": renderer.frames})
        return Reference(video, renderer.masks)

    return build
