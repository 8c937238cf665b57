"""`model=dragnuwa size=upstream`: DragNUWA 1.5 (Stable Video Diffusion, no caption) in its own environment.

14 frames of 576x320 from a first frame and drags. Facts: bensonbs/DragNUWA-Fork 428bf91, `DragNUWA_demo.py`, and
chaojie/ComfyUI-DragNUWA bd9f53f, `nodes.py` (MIT).

Shape legend: N paths, T moments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toraeval.allowed import Numbers, check_options
from toraeval.geometry import dragnuwa_path, extend_points, inside_canvas, windows
from toraeval.models.shared.base import need_first_frame
from toraeval.models.shared.flow_colour import Float32Array
from toraeval.models.shared.trajectory import all_tracks
from toraeval.types import ByteArray, Case, FloatArray, UserError, Video

from ..process.runner import ChildGenerator, sampler_seed
from .framing import FITS, Framing, framing
from .generator import DragNUWAOptions

VERSION = "1"
FRAMES = 14
SEEN = (576, 320)
POLICIES = ("windows", "stretch")
RESIZE = "shown: bilinear, brought back: bicubic (Pillow)"


class UpstreamDragNUWA(ChildGenerator):
    """Runs a fork's DragNUWA 1.5; longer clips are made window after window.

    Args:
        config: places, GPU, time-outs, steps, guidance, fit, frame_policy, motion_bucket.

    Raises:
        UserError: an option outside its range.
    """

    name = "dragnuwa"
    label = "dragnuwa (upstream)"
    version = VERSION
    sent = ("steps", "guidance", "motion_bucket")
    steps, guidance = 25, 2.5  # guidance of the last frame; the first has 1

    def __init__(self, config: DragNUWAOptions) -> None:
        self.config = config
        what = "model dragnuwa size=upstream"
        check_options(what, config, fit=FITS, frame_policy=POLICIES, motion_bucket=Numbers(1, 255))
        self.use(config, __file__)

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse lengths that the frame policy cannot reach.

        Raises:
            UserError: more than two requested frames for each made one under `stretch`.
        """
        if self.config.frame_policy == "stretch" and frames > 2 * FRAMES:
            raise UserError(
                f"{self.runner.what}: frames={frames} with frame_policy=stretch; allowed: up to {2 * FRAMES}, beyond "
                "that each frame would be shown more than twice; use frame_policy=windows"
            )

    def fingerprint(self) -> dict[str, Any]:
        own = {"fit": self.config.fit, "frame_policy": self.config.frame_policy, "resize": RESIZE}
        return {**self.runner.fingerprint(), "version": VERSION, **own}

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: no first frame, or a path that starts where the model does not see it.
        """
        self.check(case.frames, case.height, case.width)
        need_first_frame(self.runner.what, case)
        self._check_starts(case, framing(self.config.fit, (case.width, case.height), SEEN))

    def generate(self, case: Case, seed: int) -> Video:
        """Return the clip that follows the paths of a case from its first frame; the caption is not used.

        Raises:
            UserError: no first frame, a path that starts where the model does not see it, or the child failed.
            MissingAsset: code, environment or weights are absent.
        """
        self.check_case(case, seed)
        first_HWC = np.asarray(case.first_frame_HWC)
        frame = framing(self.config.fit, (case.width, case.height), SEEN)
        facts = self.runner.session.start()
        tracks_NT2 = frame.points(all_tracks(case))
        shown = frame.show(first_HWC)
        if self.config.frame_policy == "stretch":
            made, length = self._stretched(case, seed, tracks_NT2, shown)
        else:
            made, length = self._windows(case, seed, tracks_NT2, shown)
        info = {
            **length,
            "native_size": list(SEEN),
            "fit": frame.fit,
            "scaled_to": list(frame.scaled),
            "seen_from": list(frame.offset),
            "resize": RESIZE if frame.source != SEEN else None,
            "beyond_the_seen": "first frame" if frame.fit == "cover" and frame.scaled != SEEN else None,
            "prompt": "",
            "upstream": facts,
        }
        return Video.from_thwc(frame.bring_back(made, first_HWC), case.fps, info)

    def _check_starts(self, case: Case, frame: Framing) -> None:
        starts = case.trajectories.tracks_NT2[:, 0]
        hidden = inside_canvas(starts, frame.source) & ~inside_canvas(frame.points(starts), SEEN)
        if hidden.any():
            raise UserError(
                f"case {case.id}: object {int(np.flatnonzero(hidden)[0])} starts outside the part of a "
                f"{case.width}x{case.height} picture that {self.runner.what} sees with fit={frame.fit}; use "
                f"model.fit=pad, model.fit=stretch, or its own shape: height={SEEN[1]} width={SEEN[0]}"
            )

    def _windows(
        self, case: Case, seed: int, tracks_NT2: FloatArray, shown: ByteArray
    ) -> tuple[ByteArray, dict[str, Any]]:
        """Make one window after another; the last frame of each starts the next."""
        spans = windows(case.frames, FRAMES)
        clips: list[ByteArray] = []
        seeds, left_out = [], 0
        for number, (start, stop) in enumerate(spans):
            moments = extend_points(tracks_NT2[:, start:stop], FRAMES)
            drag, outside = drag_map(moments)
            seeds.append(sampler_seed(case, seed, number))
            clip = self._window(case, number, len(spans), drag, clips[-1][-1] if clips else shown, seeds[-1])
            left_out += outside
            clips.append(clip[int(bool(clips)) :])
        frames = np.concatenate(clips)
        mode = "autoregressive" if len(spans) > 1 else ("exact" if case.frames == FRAMES else "cut")
        return frames[: case.frames], {
            "generated": len(frames),
            "length_mode": mode,
            "windows": len(spans),
            "seams": [stop for _, stop in spans[:-1]],
            "sampler_seeds": seeds,
            "steps_outside": left_out,
        }

    def _stretched(
        self, case: Case, seed: int, tracks_NT2: FloatArray, shown: ByteArray
    ) -> tuple[ByteArray, dict[str, Any]]:
        """Make one window over the whole path and show its frames at the requested moments, the nearest each time."""
        drag, outside = drag_map(np.stack([dragnuwa_path(path) for path in tracks_NT2]))
        drawn = sampler_seed(case, seed)
        clip = self._window(case, 0, 1, drag, shown, drawn)
        nearest = np.rint(np.linspace(0, FRAMES - 1, case.frames)).astype(int)
        return clip[nearest], {
            "generated": FRAMES,
            "length_mode": "exact" if case.frames == FRAMES else "repeated",
            "windows": 1,
            "seams": [],
            "sampler_seeds": [drawn],
            "steps_outside": outside,
        }

    def _window(
        self, case: Case, number: int, count: int, drag: Float32Array, first_HWC: ByteArray, seed: int
    ) -> ByteArray:
        job = f"case {case.id}" + (f" window {number + 1} of {count}" if count > 1 else "")
        arrays: dict[str, np.ndarray] = {"drag": drag, "first_frame": first_HWC}
        return self.runner.make(job, arrays, (FRAMES, SEEN[1], SEEN[0]), seed=seed)


def drag_map(tracks_NT2: FloatArray) -> tuple[Float32Array, int]:
    """Return the sparse drags of one window, not blurred: that is part of the upstream network.

    Args:
        tracks_NT2: `(x, y)` pixels of 576x320 at 14 moments, floats.

    Returns:
        float32 (13, 320, 576, 2): at the whole pixel where a step starts, its `(dx, dy)`; a later path overwrites an
        earlier one. And the number of steps left out because they start outside the picture.
    """
    steps = tracks_NT2.shape[1] - 1
    drag = np.zeros((steps, SEEN[1], SEEN[0], 2), np.float32)
    outside = 0
    for path in tracks_NT2:
        for t in range(steps):
            x, y = np.floor(path[t]).astype(int)
            if 0 <= x < SEEN[0] and 0 <= y < SEEN[1]:
                drag[t, y, x] = path[t + 1] - path[t]
            else:
                outside += 1
    return drag, outside
