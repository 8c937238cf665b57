"""The suite `photos`: moving windows over free photographs and photo cut-outs, with exact tracks, visibility and masks.

The test set is fixed by `SUITE_VERSION`; its hash stands in every result. Splits share no photograph.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from toraeval.suites.photos.files import CUT_OUTS, GROUNDS, files_hash
from toraeval.suites.photos.render import PhotoRenderer
from toraeval.suites.photos.world import MOTIONS, PhotoScene, sample_scene
from toraeval.suites.shapes.paths import FAMILIES
from toraeval.suites.shapes.world import CANVAS, SPLITS
from toraeval.suites.shared.base import check_request
from toraeval.types import Case, Reference, Trajectories, UserError, Video

SUITE_VERSION = "1"
FPS = 8.0
MIN_SIDE = 64  # below it an object is only a few pixels wide
CASES = 64
COUNTS = (1, 1, 2, 1, 1, 3)  # followed objects or points, in turn


class Photos:
    """64 cases of real texture: camera motion over photographs, and photo cut-outs on the ten path families.

    A third are of the kind `camera`: a window pans, zooms, turns or does all of it, and points on the ground are
    followed. The others are of the kind `object`: one to three cut-outs with soft edges, with or without shadow, some
    growing and turning, some behind each other, over grounds that stand still or pan. The first so many cases of any
    number are as mixed as the whole set.

    Args:
        split: `test` (the published set), or `validation` / `train` for development; they share no photograph.
        count: number of cases, >= 1; at most 64 for `test`, which are all of it.

    Raises:
        UserError: an unknown split, no cases, or more than the test set has.
    """

    name = "photos"
    version = SUITE_VERSION

    def __init__(self, split: str = "test", count: int = CASES) -> None:
        if split not in SPLITS:
            raise UserError(f"suite photos: unknown split '{split}'; allowed: test, validation, train")
        if count < 1 or (split == "test" and count > CASES):
            limit = f"1 to {CASES} in split test" if split == "test" else "whole numbers >= 1"
            raise UserError(f"suite photos: count={count}; allowed: {limit}")
        self.split, self.count = split, count

    def _entries(self) -> list[tuple[str, PhotoScene]]:
        return [scene_of(self.split, index) for index in range(self.count)]

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
                f"suite photos: size {width}x{height}; allowed: {MIN_SIDE} pixels and more per side"
            )
        check_request(self.name, frames, height, width, limit)
        found = []
        for index, (cid, scene) in enumerate(self._entries()[:limit]):
            renderer = PhotoRenderer(scene, frames, width, height, CUT_OUTS[self.split])
            found.append(_case(cid, scene, index, renderer, self.split))
        return found

    def describe(self) -> dict[str, Any]:
        """Return what `list suites` shows: counts by kind and family, and the hash."""
        scenes = [scene for _, scene in self._entries()]
        return {
            "name": self.name,
            "version": self.version,
            "split": self.split,
            "cases": len(scenes),
            "camera_cases": sum(not s.objects for s in scenes),
            "object_cases": sum(bool(s.objects) for s in scenes),
            "moving_grounds_below_objects": sum(bool(s.objects) and s.motion != "still" for s in scenes),
            "path_families": sorted({o.family for s in scenes for o in s.objects}),
            "photographs": sorted({*GROUNDS[self.split], *CUT_OUTS[self.split]}),
            "hash": self.fingerprint()["hash"],
            "licence": "CC0, public domain, CC BY 2.0 and 4.0: toraeval/suites/photos/photographs/LICENSES.md",
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, split and SHA-256 over every scene of the set and the files it is made of."""
        digest = hashlib.sha256(files_hash(self.split).encode())
        for cid, scene in self._entries():
            digest.update(cid.encode() + _scene_bytes(scene))
        return {"suite": self.name, "version": self.version, "split": self.split, "hash": digest.hexdigest()}


def scene_of(split: str, index: int) -> tuple[str, PhotoScene]:
    """Return id and scene of a case by its place in a split: kinds, families and counts take turns."""
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


def _scene_bytes(scene: PhotoScene) -> bytes:
    # rounded to 1e-6 so that the last bit of a maths library does not change the hash
    head: list[object] = [scene.caption, scene.ground, scene.motion]
    head += [
        [o.name, o.family, o.shadow, *(round(value, 6) for value in (o.radius, o.growth, o.turn))]
        for o in scene.objects
    ]
    tracks = np.round(scene.tracks(129) * 1e6).astype(np.int64)
    camera = np.round(scene.camera(129) * 1e6).astype(np.int64)
    return json.dumps(head).encode() + tracks.tobytes() + camera.tobytes()


def _case(cid: str, scene: PhotoScene, seed: int, renderer: PhotoRenderer, split: str) -> Case:
    frames, width, height = renderer.frames, renderer.width, renderer.height
    names = tuple(o.name for o in scene.objects) or tuple(
        f"point {k + 1}" for k in range(len(scene.points_K2))
    )
    trajectories = Trajectories(
        tracks_NT2=renderer.tracks_NT2,
        visible_NT=renderer.visible(),
        canvas=(width, height),
        fps=FPS,
        source=f"photos-v{SUITE_VERSION}/{cid}",
        names=names,
    )
    first = renderer.frame(0)
    digest = hashlib.sha256(files_hash(split).encode() + _scene_bytes(scene))
    digest.update(json.dumps([SUITE_VERSION, cid, frames, height, width]).encode() + first.tobytes())
    return Case(
        id=cid,
        suite=f"photos-v{SUITE_VERSION}",
        prompt=scene.caption,
        trajectories=trajectories,
        frames=frames,
        height=height,
        width=width,
        fps=FPS,
        seed=seed,
        first_frame_HWC=first,
        tags={
            "kind": "object" if scene.objects else "camera",
            "family": scene.objects[0].family if scene.objects else scene.motion,
            "objects": len(names),
            "camera": scene.motion,
            "ground": scene.ground,
            "canvas": CANVAS,
        },
        reference=_reference(renderer),
        content_hash=digest.hexdigest(),
    )


def _reference(renderer: PhotoRenderer) -> Callable[[], Reference]:
    def build() -> Reference:
        video = Video.from_thwc(renderer.render(), FPS, {"source": "render", "frames": renderer.frames})
        return Reference(video, renderer.masks)

    return build
