"""Tiny parts for tests of the main path: a bright square on a dark field, made, found and measured exactly."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import registry
from toraeval.suites.shared.base import content_hash
from toraeval.types import Case, MissingAsset, Reference, Tracks, Trajectories, UserError, Video

SIDE = 64
CASES = ("alpha", "beta", "gamma")
COMMAND = """
import sys
from tests.fake_parts import registered
from toraeval.__main__ import main
with registered():
    sys.exit(main(sys.argv[1:]))
"""
"""A program that is the command line with the fake parts."""


def draw(track_T2: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return THWC frames with a 9x9 white square centred on each point."""
    frames = np.full((len(track_T2), side, side, 3), 20, np.uint8)
    for frame, (x, y) in zip(frames, np.rint(track_T2).astype(int), strict=True):
        frame[y - 4 : y + 5, x - 4 : x + 5] = 255
    return frames


class FakeSuite:
    """Three straight paths on whole pixels."""

    name, version = "fake_suite", "1"

    def __init__(self, reference: bool = True, backwards: bool = False) -> None:
        self.reference, self.backwards = reference, backwards

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        cases = [self._case(i, name, frames) for i, name in enumerate(CASES)]
        return (cases[::-1] if self.backwards else cases)[:limit]

    def _case(self, index: int, name: str, frames: int) -> Case:
        steps = np.linspace(0, 1, frames)
        track_T2 = np.rint(np.stack([10 + 40 * steps, 12 + 10 * index + 20 * steps], axis=-1))
        paths = Trajectories(track_T2[None], np.ones((1, frames), bool), (SIDE, SIDE), source=name)
        video = Video.from_thwc(draw(track_T2), 8.0)
        return Case(
            id=name,
            suite="fake_suite-v1",
            prompt=f"a square, {name}",
            trajectories=paths,
            frames=frames,
            height=SIDE,
            width=SIDE,
            fps=8.0,
            seed=index,
            first_frame_HWC=video.thwc[0],
            tags={"family": "line"},
            reference=(lambda: Reference(video)) if self.reference else None,
            content_hash=content_hash(name, paths, {"frames": frames}, None),
        )

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "cases": len(CASES)}

    def fingerprint(self) -> dict[str, Any]:
        return {"suite": self.name, "version": self.version, "reference": self.reference}


class FakeModel:
    """Draws the path `shift` pixels to the right; misbehaves for the case named `bad` in the way `how` says."""

    name = "fake_model"
    calls: list[str] = []  # noqa: RUF012 - counted by tests

    def __init__(
        self, shift: int = 2, bad: str = "", how: str = "crash", unsteady: bool = False, log: str = ""
    ) -> None:
        self.shift, self.bad, self.how, self.unsteady, self.log = shift, bad, how, unsteady, log

    def check(self, frames: int, height: int, width: int) -> None:
        if height % 64 or width % 64:
            raise UserError(f"fake_model: size {width}x{height}; allowed: sides divisible by 64")

    def fingerprint(self) -> dict[str, Any]:
        return {"model": self.name, "shift": self.shift}

    def generate(self, case: Case, seed: int) -> Video:
        FakeModel.calls.append(f"{case.id}/{seed}")
        if self.log:  # seen by other processes, too
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{case.id}/{seed}/{case.frames}/{os.getpid()}\n")
        track_T2 = case.trajectories.tracks_NT2[0] + [self.shift + seed, 0]
        video = Video.from_thwc(
            draw(track_T2), case.fps, {"generated": case.frames + 1, "length_mode": "cut"}
        )
        if self.unsteady:
            video.frames_TCHW[:, 0, 0, 0] = len(FakeModel.calls)
        return self._spoiled(video, case) if case.id in self.bad.split(",") else video

    def _spoiled(self, video: Video, case: Case) -> Video:
        if self.how == "crash":
            raise ValueError("matrix is\nsingular")
        if self.how == "user":
            raise UserError("non-finite latents; try precision=fp32")
        if self.how == "weights":
            raise MissingAsset("fake_model: weights are missing; run: fetch")
        if self.how == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.how == "interrupt":
            raise KeyboardInterrupt
        if self.how == "killed" or (
            self.how == "killed once" and Path(self.log).read_text().count(self.bad) == 1
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "gpu" and Path(self.log).read_text().count(self.bad) == 1:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if self.how == "gate":  # the first clip fails, the second one waits
            gate = Path(self.log).with_name("gate")
            if case.id == "alpha" and not gate.exists():
                raise UserError("not yet")
            while not gate.exists():
                time.sleep(0.02)
            return video
        if self.how == "slow":
            time.sleep(60)
        if self.how.startswith("killed") or self.how in ("gpu", "well"):
            return video
        return replace(video, frames_TCHW=video.frames_TCHW[:-1])  # "short"


class FakeTracker:
    """Returns the centre of all bright pixels."""

    name, version = "fake_tracker", "1"
    calls = 0

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def fingerprint(self) -> dict[str, Any]:
        return {"tracker": self.name, "version": self.version, "offset": self.offset}

    def track(self, video: Video, queries_N2: np.ndarray) -> Tracks:
        FakeTracker.calls += 1
        path = []
        for frame_HWC in video.thwc:
            ys, xs = np.nonzero(frame_HWC[..., 1] > 128)
            path.append((xs.mean() + self.offset, ys.mean()))
        tracks = np.repeat(np.array(path)[None], len(queries_N2), axis=0)
        return Tracks(tracks, np.ones(tracks.shape[:2], bool), None, {"tracker": self.name})


@contextmanager
def registered() -> Iterator[None]:
    """Register the fake model, suite and tracker with their counters at zero, and take them away again."""
    tables = registry.snapshot()
    for kind, name in (("model", "FakeModel"), ("suite", "FakeSuite"), ("tracker", "FakeTracker")):
        registry.register(kind, f"fake_{kind}", f"tests.fake_parts:{name}")
    FakeModel.calls.clear()
    FakeTracker.calls = 0
    try:
        yield
    finally:
        registry.restore(tables)


def config(results: Any, **changes: Any) -> dict[str, Any]:
    """Return a resolved `run` config over the fake parts."""
    plain: dict[str, Any] = {
        "model": {"name": "fake_model"},
        "suite": {"name": "fake_suite"},
        "tracker": {"name": "fake_tracker"},
        "metrics": {"traj_error": {"name": "traj_error"}},
        "frames": 8,
        "height": SIDE,
        "width": SIDE,
        "seeds": [0],
        "limit": None,
        "samples": None,
        "floor": True,
        "stages": ["generate", "track", "score"],
        "keep": "preview",
        "workers": 1,
        "fail_fast": False,
        "dry_run": False,
        "results": str(results),
    }
    return plain | changes
