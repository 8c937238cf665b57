"""The `folder` suite: the user's own prompts, trajectories and first frames, from one directory.

The directory layout is documented in docs/trajectories.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import geometry
from toraeval.inputs.text_files import is_folder, shown
from toraeval.store.keys import current_sha256
from toraeval.suites.folder.scan import scan
from toraeval.suites.shared import first_frame
from toraeval.suites.shared.base import Suite, case_seed, check_request, content_hash, hash_paths
from toraeval.suites.shared.real_clip import fitted
from toraeval.trajectories import NativeCase, PathReading
from toraeval.types import ByteArray, Case, Reference, Trajectories, UserError, Video
from toraeval.video import measure_video, read_video


class Folder(Suite):
    """Cases from a directory: `cases.json`, or one trajectory file per case with prompt and picture beside it.

    Args:
        path: the directory.
        canvas: `[width, height]` of trajectory files that state none; None means the canvas of their format's project,
            and is an error where it has none.
        format: of the trajectory files; by default recognised by suffix and content.
        layout: `nt` or `tn` for arrays (N,T,2) or (T,N,2) that do not say which they are.
        units: `pixels`, `normalised` and others; needed where coordinates look like fractions of the frame.
        rule: how paths are brought to the requested length, see `toraeval.geometry.resample`.
        fps: frame rate of cases whose trajectories state none.

    Raises:
        UserError: the directory is absent or empty, a file is malformed, missing or not used by any case.
    """

    name = "folder"
    version = "1"

    def __init__(
        self,
        path: str | os.PathLike[str],
        canvas: Sequence[int] | None = None,
        rule: str = "index",
        fps: float = 8.0,
        format: str = "auto",
        layout: str = "auto",
        units: str = "auto",
    ) -> None:
        self.path = Path(path)
        if not is_folder(self.path):
            raise UserError(
                f"suite folder: {shown(self.path)} is not a directory; give one with suite.path=DIR"
            )
        if rule not in geometry.RESAMPLING_RULES:
            allowed = ", ".join(geometry.RESAMPLING_RULES)
            raise UserError(f"suite folder: rule={rule!r}; allowed: {allowed}")
        if not 0 < fps < math.inf:
            raise UserError(f"suite folder: fps={fps}; allowed: finite numbers above 0")
        self.rule, self.fps = rule, float(fps)
        self._found = scan(self.path, PathReading(canvas, format, layout, units, "suite."))  # type: ignore[arg-type]
        self._hash = _hash(self._found)

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Return the cases at one length and size, sorted by id (in file order for `cases.json`).

        First and last frames are resized with Pillow's bicubic filter until they cover the frame and their centres
        are cropped; paths move with the first frame as `first_frame.place_paths` says.

        Raises:
            UserError: fewer than 2 frames, a size below 16 pixels, or a path that does not start visibly
                inside the frame.
        """
        check_request(self.name, frames, height, width, limit)
        return [
            self._case(identifier, found, frames, height, width)
            for identifier, found in list(self._found.items())[:limit]
        ]

    def describe(self) -> dict[str, Any]:
        """Return counts, lengths and the content hash."""
        found = self._found.values()
        return {
            "name": self.name,
            "version": self.version,
            "path": str(self.path),
            "cases": len(found),
            "single_object_cases": sum(case.trajectories.num_objects == 1 for case in found),
            "with_prompt": sum(bool(case.prompt) for case in found),
            "with_first_frame": sum(case.first_frame is not None for case in found),
            "with_last_frame": sum(case.last_frame is not None for case in found),
            "with_clip": sum(case.clip is not None for case in found),
            "with_second_take": sum(case.second_take is not None for case in found),
            "with_camera": sum(case.camera is not None for case in found),
            "points": sorted({case.trajectories.num_frames for case in found}),
            "hash": self._hash,
            "licence": "the user's own",
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, resampling rule, frame rate and the SHA-256 over all contents."""
        return {
            "suite": self.name,
            "version": self.version,
            "rule": self.rule,
            "fps": self.fps,
            "hash": self._hash,
        }

    def _case(self, identifier: str, found: NativeCase, frames: int, height: int, width: int) -> Case:
        picture: ByteArray | None = None
        last: ByteArray | None = None
        plan: geometry.CoverCrop | None = None
        tags: dict[str, Any] = {}
        if found.first_frame is not None:
            picture, plan = first_frame.fit(first_frame.open_picture(found.first_frame), width, height)
            tags = {"first_frame": found.first_frame.name, "first_frame_method": first_frame.METHOD}
            tags |= {"first_frame_size": list(plan.source)}
        trajectories, paths_on = self._placed(found.trajectories, frames, (width, height), plan)
        if plan is not None:
            tags["paths_on"] = paths_on
        camera = None
        if found.camera is not None:
            camera, _ = self._placed(found.camera, frames, (width, height), plan)
            tags["camera_paths"] = camera.num_objects
        if found.last_frame is not None:
            last, _ = first_frame.fit(first_frame.open_picture(found.last_frame), width, height)
            tags["last_frame"] = found.last_frame.name
        fps, seed = found.trajectories.fps or self.fps, case_seed(identifier)
        size = {"frames": frames, "height": height, "width": width}
        request: dict[str, Any] = {**size, "fps": fps, "seed": seed}
        clips = {key: current_sha256(path) for key, path in _clips(found).items()}
        reference, second = (
            self._clip(path, fps, frames, (width, height)) for path in (found.clip, found.second_take)
        )
        return Case(
            id=identifier,
            suite=f"{self.name}-v{self.version}",
            prompt=found.prompt,
            trajectories=replace(trajectories, fps=fps),
            **request,
            first_frame_HWC=picture,
            last_frame_HWC=last,
            camera=camera,
            tags={
                "family": "folder",
                "objects": trajectories.num_objects,
                "original_id": found.id,
                "points": found.trajectories.num_frames,
                "canvas": list(found.trajectories.canvas),
                "paths_read": "; ".join(found.trajectories.notes),
                **tags,
            },
            reference=None if reference is None else lambda: Reference(reference()),
            second_take=second,
            content_hash=content_hash(found.prompt, trajectories, request | clips, picture, last, camera),
        )

    @staticmethod
    def _clip(
        path: Path | None, fps: float, frames: int, size: tuple[int, int]
    ) -> Callable[[], Video] | None:
        """Return what reads a real clip as the case has it; None where there is none or its frames do not fit."""
        if path is None:
            return None
        return fitted(partial(read_video, path), path.name, measure_video(path).frames, frames, fps, size)

    def _placed(
        self, paths: Trajectories, frames: int, size: tuple[int, int], plan: geometry.CoverCrop | None
    ) -> tuple[Trajectories, str]:
        """Bring paths to a length and a (width, height) frame; also return what they lie on."""
        paths, paths_on = geometry.resample(paths, frames, self.rule), "frame"
        if plan is None:
            paths = geometry.to_canvas(paths, *size)
        else:
            paths, paths_on = first_frame.place_paths(paths, plan)
        for index in np.flatnonzero(~paths.visible_NT[:, 0]):
            x, y = paths.tracks_NT2[index, 0]
            raise UserError(
                f"{paths.source}: object {index + 1} must start visibly inside the frame; got "
                f"({x:.1f}, {y:.1f}) on {size[0]}x{size[1]}; allowed: another start, or another width and height"
            )
        return paths, paths_on


def _hash(found: dict[str, NativeCase]) -> str:
    digest = hashlib.sha256()
    for identifier, case in found.items():
        paths = case.trajectories
        head = [identifier, case.prompt, list(paths.canvas), paths.fps, list(paths.tracks_NT2.shape)]
        digest.update(json.dumps(head, ensure_ascii=False).encode())
        hash_paths(digest, paths)
        if case.first_frame is not None:
            digest.update(hashlib.sha256(case.first_frame.read_bytes()).digest())
        if case.last_frame is not None:
            digest.update(b"last" + hashlib.sha256(case.last_frame.read_bytes()).digest())
        if case.camera is not None:
            digest.update(f"camera {case.camera.canvas} {case.camera.tracks_NT2.shape}".encode())
            hash_paths(digest, case.camera)
        for key, path in _clips(case).items():
            digest.update(f"{key} {current_sha256(path)}".encode())
    return digest.hexdigest()


def _clips(case: NativeCase) -> dict[str, Path]:
    named = {"clip": case.clip, "second_take": case.second_take}
    return {key: path for key, path in named.items() if path is not None}
