"""A suite of drawn cases: one scene each, with exact tracks, visibility and masks."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from typing import Any, Generic

from toraeval.suites.shared.base import Suite, check_request
from toraeval.suites.shared.drawing import SPLITS, Renderer, S
from toraeval.types import Case, Reference, Trajectories, UserError, Video

FPS = 8.0
MIN_DRAWN_SIDE = 64  # below it an object is only a few pixels wide


class DrawnSuite(Suite, ABC, Generic[S]):
    """Cases drawn from seeds; the test set is fixed by the version, and its hash stands in every result.

    Args:
        split: `test` (the published set), or `validation` / `train` for development.

    Raises:
        UserError: an unknown split.
    """

    name: str
    version: str
    licence: str

    def __init__(self, split: str) -> None:
        if split not in SPLITS:
            allowed = ", ".join(reversed(SPLITS))
            raise UserError(f"suite {self.name}: unknown split '{split}'; allowed: {allowed}")
        self.split = split

    @abstractmethod
    def scenes(self) -> list[tuple[str, S]]:
        """Return id and scene of every case."""

    @abstractmethod
    def renderer(self, scene: S, frames: int, width: int, height: int) -> Renderer[S]:
        """Return what draws a scene."""

    @abstractmethod
    def facts(self, scenes: list[S]) -> dict[str, Any]:
        """Return what `list suites` shows of this suite alone."""

    @abstractmethod
    def tags(self, scene: S, trajectories: Trajectories) -> dict[str, Any]:
        """Return the tags of a case."""

    def files_digest(self) -> bytes:
        """Return what stands for the files that the scenes are made of."""
        return b""

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Build the cases at one length and size.

        Args:
            frames: number of frames, >= 2.
            height, width: size in pixels, >= 64.
            limit: keep only the first N, >= 1.

        Raises:
            UserError: for fewer than 2 frames, a size below 64 or a limit below 1.
        """
        if min(height, width) < MIN_DRAWN_SIDE:  # first, because it allows less than the common check
            raise UserError(
                f"suite {self.name}: size {width}x{height}; allowed: {MIN_DRAWN_SIDE} pixels and more per side"
            )
        check_request(self.name, frames, height, width, limit)
        return [
            self._case(identifier, seed, self.renderer(scene, frames, width, height))
            for seed, (identifier, scene) in enumerate(self.scenes()[:limit])
        ]

    def describe(self) -> dict[str, Any]:
        """Return what `list suites` shows: what is in the set, and its hash."""
        scenes = [scene for _, scene in self.scenes()]
        head = {"name": self.name, "version": self.version, "split": self.split, "cases": len(scenes)}
        return {
            **head,
            **self.facts(scenes),
            "hash": self.fingerprint()["hash"],
            "licence": self.licence,
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, split and SHA-256 over every scene of the set and the files it is made of."""
        digest = hashlib.sha256(self.files_digest())
        for identifier, scene in self.scenes():
            digest.update(identifier.encode() + scene.content())
        return {"suite": self.name, "version": self.version, "split": self.split, "hash": digest.hexdigest()}

    def _case(self, identifier: str, seed: int, renderer: Renderer[S]) -> Case:
        scene, frames = renderer.scene, renderer.frames
        width, height = renderer.width, renderer.height
        suite = f"{self.name}-v{self.version}"
        trajectories = Trajectories(
            tracks_NT2=renderer.tracks_NT2,
            visible_NT=renderer.visible(),
            canvas=(width, height),
            fps=FPS,
            source=f"{suite}/{identifier}",
            names=scene.names,
        )
        first = renderer.frame(0)
        digest = hashlib.sha256(self.files_digest() + scene.content())
        digest.update(
            json.dumps([self.version, identifier, frames, height, width]).encode() + first.tobytes()
        )

        def reference() -> Reference:
            video = Video.from_thwc(renderer.render(), FPS, {"source": "render", "frames": frames})
            return Reference(video, renderer.masks)

        return Case(
            id=identifier,
            suite=suite,
            prompt=scene.caption,
            trajectories=trajectories,
            frames=frames,
            height=height,
            width=width,
            fps=FPS,
            seed=seed,
            first_frame_HWC=first,
            tags=self.tags(scene, trajectories),
            reference=reference,
            reference_frames=renderer.render_frames,
            content_hash=digest.hexdigest(),
        )
