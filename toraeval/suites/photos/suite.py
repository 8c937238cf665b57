"""The suite `photos`: moving windows over free photographs and photo cut-outs, with exact tracks, visibility and masks.

Splits share no photograph.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from toraeval.suites.photos.files import CUT_OUTS, GROUNDS, files_hash
from toraeval.suites.photos.render import PhotoRenderer
from toraeval.suites.photos.world import MOTIONS, PhotoScene, sample_scene
from toraeval.suites.shared.drawing import CANVAS
from toraeval.suites.shared.drawn import DrawnSuite
from toraeval.suites.shared.paths import FAMILIES
from toraeval.types import Trajectories, UserError

CASES = 64
COUNTS = (1, 1, 2, 1, 1, 3)  # followed objects or points, in turn


class Photos(DrawnSuite[PhotoScene]):
    """64 cases of real texture: camera motion over photographs, and photo cut-outs on the ten path families.

    A third are of the kind `camera`: a window pans, zooms, turns or does all of it, and points on the ground are
    followed. The others are of the kind `object`: one to three cut-outs with soft edges, with or without shadow, some
    growing and turning, some behind each other, over grounds that stand still or pan. The first N cases, for any
    N, are as mixed as the whole set.

    Args:
        split: `test` (the published set), or `validation` / `train` for development; they share no photograph.
        count: number of cases, >= 1; at most 64 for `test`, which are all of it.

    Raises:
        UserError: an unknown split, no cases, or more than the test set has.
    """

    name = "photos"
    version = "1"
    licence = "CC0, public domain, CC BY 2.0 and 4.0: toraeval/suites/photos/photographs/LICENSES.md"

    def __init__(self, split: str = "test", count: int = CASES) -> None:
        super().__init__(split)
        if count < 1 or (split == "test" and count > CASES):
            limit = f"1 to {CASES} in split test" if split == "test" else "whole numbers >= 1"
            raise UserError(f"suite photos: count={count}; allowed: {limit}")
        self.count = count

    def files_digest(self) -> bytes:
        return files_hash(self.split).encode()

    def scenes(self) -> list[tuple[str, PhotoScene]]:
        return [scene_of(self.split, index) for index in range(self.count)]

    def count_cases(self) -> int:
        return self.count

    def renderer(self, scene: PhotoScene, frames: int, width: int, height: int) -> PhotoRenderer:
        return PhotoRenderer(scene, frames, width, height)

    def facts(self, scenes: list[PhotoScene]) -> dict[str, Any]:
        return {
            "camera_cases": sum(not s.objects for s in scenes),
            "object_cases": sum(bool(s.objects) for s in scenes),
            "moving_grounds_below_objects": sum(bool(s.objects) and s.motion != "still" for s in scenes),
            "path_families": sorted({o.family for s in scenes for o in s.objects}),
            "photographs": sorted({*GROUNDS[self.split], *CUT_OUTS[self.split]}),
        }

    def tags(self, scene: PhotoScene, trajectories: Trajectories) -> dict[str, Any]:
        """Return what is followed, how it moves, and over which photograph."""
        return {
            "kind": "object" if scene.objects else "camera",
            "family": scene.objects[0].family if scene.objects else scene.motion,
            "objects": trajectories.num_objects,
            "camera": scene.motion,
            "ground": scene.ground,
            "canvas": CANVAS,
        }


@cache
def scene_of(split: str, index: int) -> tuple[str, PhotoScene]:
    """Return id and scene of a case by its place in a split: kinds, families and counts take turns.

    Drawn once: every length and the hash of the suite need the same ones.
    """
    camera = index % 3 == 1
    turn = index // 3 if camera else index - (index + 1) // 3
    count = COUNTS[(index + index // 6) % len(COUNTS)]
    if camera:
        what = MOTIONS[turn % len(MOTIONS)]
        cid = f"{index:02d}_camera_{what}_{count}pt"
        return cid, sample_scene(split, index, "camera", count, what)
    what = FAMILIES[turn % len(FAMILIES)]
    count = max(count, 2) if what == "crossing" else count
    moves = turn % 4 == 3
    cid = f"{index:02d}_{what}_{count}obj" + ("_pan" if moves else "")
    return cid, sample_scene(split, index, "object", count, what, moves)
