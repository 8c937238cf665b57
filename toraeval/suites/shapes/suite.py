"""The `shapes` suite: procedural test cases whose truth (tracks, visibility, masks) is exact.

Seeds of the training, validation and test splits never meet (see `world.sample_scene`). Version 2 (`world2`) adds
panels that hide objects where windows of 16 frames end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from toraeval.suites.shapes import world, world2
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import Scene
from toraeval.suites.shared.drawing import CANVAS
from toraeval.suites.shared.drawn import DrawnSuite
from toraeval.types import Trajectories, UserError

VERSIONS = (1, 2)
WINDOW = 16  # new frames of a window of the models that make windows one after another
FAST = 12.0  # pixels a frame of the canvas, from which on a case counts as fast

# (scene index in the test split, number of objects, family of the first object, background drifts)
TEST_SET: tuple[tuple[int, int, str, bool], ...] = (
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


class Shapes(DrawnSuite[Scene]):
    """Procedural cases: ten path families, one to three objects, occlusion, drifting backgrounds.

    Version 1 has 16 test cases; version 2 has 36, two thirds with one object, bounds the speed and adds panels.

    Args:
        split: `test` (the published set), or `validation` / `train` for development.
        count: number of cases for the other splits, >= 1; the test set has its own.
        version: 2 of the world, or 1, the first one.

    Raises:
        UserError: an unknown split or version, or no cases.
    """

    name = "shapes"
    licence = "generated, Apache-2.0"

    def __init__(self, split: str = "test", count: int = 16, version: int = 2) -> None:
        super().__init__(split)
        if count < 1:
            raise UserError(f"suite shapes: count={count}; allowed: whole numbers >= 1")
        if version not in VERSIONS:
            raise UserError(
                f"suite shapes: version={version}; allowed: {', '.join(map(str, VERSIONS))}, e.g. suite.version=1"
            )
        self.count, self.version = count, str(version)

    def scenes(self) -> list[tuple[str, Scene]]:
        return list(_scenes(self.split, self.count, self.version))

    def count_cases(self) -> int:
        return len(self.scenes())

    def renderer(self, scene: Scene, frames: int, width: int, height: int) -> SceneRenderer:
        return SceneRenderer(scene, frames, width, height)

    def facts(self, scenes: list[Scene]) -> dict[str, Any]:
        return {
            "single_object_cases": sum(len(s.objects) == 1 for s in scenes),
            "drifting_backgrounds": sum(s.drift is not None for s in scenes),
            **({} if self.version == "1" else {"panels": sum(s.panel is not None for s in scenes)}),
            "path_families": sorted({o.family for s in scenes for o in s.objects}),
        }

    def tags(self, scene: Scene, trajectories: Trajectories) -> dict[str, Any]:
        """Return what is known of a case; version 2 says more.

        `occlusion`: by what an object is hidden at some moment, `panel`, `object` or `none`; `speed`: `fast` from 12
        canvas pixels a frame in a clip of 16, else `slow`; `seam`: whether an object is `hidden` at a frame where a
        window of 16 new frames ends and another begins, all are `visible` there, or there is `none`.
        """
        tags: dict[str, Any] = {
            "family": scene.objects[0].family,
            "objects": len(scene.objects),
            "drift": scene.drift or "none",
            "canvas": CANVAS,
        }
        if self.version == "1":
            return tags
        visible = trajectories.visible_NT
        fastest = max(world2.fastest_step(o.path_P2) for o in scene.objects)
        # the last window has to be followed by another one
        seams = visible[:, WINDOW : visible.shape[1] - 1 : WINDOW]
        return {
            **tags,
            "occlusion": "panel" if scene.panel is not None else "none" if visible.all() else "object",
            "speed": "fast" if fastest >= FAST else "slow",
            "seam": "none" if not seams.size else "visible" if seams.all() else "hidden",
        }


def sample_scene(split: str, index: int, version: int) -> Scene:
    """Draw scene number `index` of a split (`train`, `validation`, `test`) of a version (1 or 2) of the world."""
    return (world if version == 1 else world2).sample_scene(split, index)


@lru_cache(maxsize=8)
def _scenes(split: str, count: int, version: str) -> tuple[tuple[str, Scene], ...]:
    """Return id and scene of every case, drawn once: every length and the hash of the suite need the same ones."""
    if split != "test":
        return tuple((f"{split}_{i:05d}", sample_scene(split, i, int(version))) for i in range(count))
    if version == "1":
        return tuple((_case_id(*entry), world.sample_scene("test", *entry)) for entry in TEST_SET)
    return tuple((_case_id(*entry), world2.sample_scene("test", *entry)) for entry in world2.TEST_SET)


def _case_id(index: int, objects: int, family: str, drift: bool, panel: bool = False) -> str:
    return f"{index:02d}_{family}_{objects}obj" + ("_drift" if drift else "") + ("_panel" if panel else "")
