"""Released models that make clips of their own lengths and sizes; the asked ones are cut and scaled from them.

Shape legend: T frames, H height, W width, N paths.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from toraeval import geometry
from toraeval.models.shared.base import need_first_frame
from toraeval.types import ByteArray, Case, Trajectories, UserError, Video, counted

from .clip_files import RESIZE, resized
from .runner import ChildGenerator, UpstreamOptions, sampler_seed

ROUNDING = 1e-6  # so that a side that fits exactly is not lost to the square root
HIDDEN_STARTS = ("leave_out", "as_given")


@dataclass(frozen=True)
class Native:
    """The lengths and sizes that a model makes.

    Attributes:
        stride: lengths are 1 + a multiple of it.
        least, most: frames.
        multiple: sides are multiples of it.
        pixels: published number of pixels of a frame.
        fps: published frames per second.
        hidden: what becomes of points that are hidden: told to the model, or drawn as if they were visible.
        first_frame: `needed`, or `used` where there is one.
    """

    stride: int
    least: int
    most: int
    multiple: int
    pixels: int
    fps: int
    hidden: str
    first_frame: str = "needed"

    def length(self, frames: int) -> int:
        """Return the number of frames that is made when `frames` are asked for."""
        return max(self.least, geometry.native_frames(frames, self.stride))

    def size(self, width: int, height: int, pixels: int) -> tuple[int, int]:
        """Return `(width, height)` of what is made: the given shape with about `pixels` pixels; 0 keeps the size."""
        scale = (pixels / (width * height)) ** 0.5 if pixels else 1.0
        sides = (int(side * scale / self.multiple + ROUNDING) * self.multiple for side in (width, height))
        first, second = (max(side, self.multiple) for side in sides)
        return first, second


@dataclass
class NativeOptions(UpstreamOptions):
    """What the wrappers of newer models take beside places and time-outs.

    Attributes:
        pixels: pixels of the frames that are made, in the requested shape; None: as published, 0: the given size.
        case_timeout_s: seconds for one clip; large models take minutes, with offloading many.
    """

    pixels: int | None = None
    case_timeout_s: float = 7200.0


class NativeGenerator(ChildGenerator):
    """Runs a released model in its own environment.

    Args:
        options: places, GPU, time-outs, pixels.
        module: see `ChildGenerator.use`.

    Raises:
        UserError: an option outside its range.
    """

    name: str
    version: str
    native: Native

    def __init__(self, options: NativeOptions, module: str) -> None:
        self.use(options, module)
        self.pixels = self.native.pixels if options.pixels is None else options.pixels
        if self.pixels and not self.native.multiple**2 <= self.pixels <= 4096**2:
            raise UserError(
                f"{self.runner.what}: pixels={self.pixels}; allowed: 0 (the requested size), or "
                f"{self.native.multiple**2} to {4096**2}"
            )

    @abstractmethod
    def arrays(self, paths: Trajectories) -> dict[str, np.ndarray]:
        """Return what the driver is given of the paths, given at the model's own length and size."""

    def left_out(self, paths: Trajectories) -> list[int]:
        """Return the numbers of the paths that are not sent."""
        return []

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse lengths and sizes that the model cannot make.

        Raises:
            UserError: too many frames, or sides that are not as needed where the size is kept.
        """
        native, what = self.native, self.runner.what
        if not 1 <= frames <= native.most:
            made = (
                counted(native.most, "frame")
                if native.least == native.most
                else f"up to {counted(native.most, 'frame')}"
            )
            raise UserError(
                f"{what}: frames={frames}; allowed: 1 to {native.most}. It makes {made}; shorter clips are cut, and "
                "longer ones are beyond it"
            )
        if not self.pixels and (height % native.multiple or width % native.multiple):
            raise UserError(
                f"{what}: size {width}x{height} with pixels=0; allowed: sides divisible by {native.multiple}, or leave "
                "model.pixels out, then frames are made at the model's own size and scaled"
            )

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: a length or size that cannot be made, no first frame, a last frame, or no path that can be sent.
        """
        self.check(case.frames, case.height, case.width)
        if self.native.first_frame == "needed":
            need_first_frame(self.runner.what, case)
        if case.last_frame_HWC is not None:
            raise UserError(f"case {case.id}: {self.runner.what} takes no last frame")
        paths = self._paths(case)
        if len(self.left_out(paths)) == paths.num_objects:
            raise UserError(
                f"case {case.id}: every path is hidden or outside the picture in the first frame, and "
                f"{self.runner.what} moves what is seen there; model.hidden_start=as_given sends them all the same"
            )

    def fingerprint(self) -> dict[str, Any]:
        return {**self.runner.fingerprint(), "version": self.version, "pixels": self.pixels, "resize": RESIZE}

    def generate(self, case: Case, seed: int) -> Video:
        """Return the clip that follows the paths of a case.

        Raises:
            UserError: see `check_case`; or the child failed.
            MissingAsset: code, environment or weights are absent.
        """
        self.check_case(case, seed)
        facts = self.runner.session.start()
        paths = self._paths(case)
        absent = self.left_out(paths)
        sent = _without(paths, absent)
        width, height = paths.canvas
        arrays = self.arrays(sent)
        if case.first_frame_HWC is not None:
            arrays["first_frame"] = resized(np.asarray(case.first_frame_HWC)[None], width, height)[0]
        drawn = sampler_seed(case, seed)
        length = paths.num_frames
        made = self.runner.make(
            f"case {case.id}",
            arrays,
            (length, height, width),
            prompt=case.prompt,
            seed=drawn,
            fps=self.native.fps,
        )
        info = {
            "generated": length,
            "length_mode": "exact" if length == case.frames else "cut",
            "native_size": [width, height],
            "native_fps": self.native.fps,
            "resize": RESIZE if (width, height) != (case.width, case.height) else None,
            "sampler_seed": drawn,
            "left_out": absent,
            "hidden_points": {"count": int((~sent.visible_NT).sum()), "treatment": self.native.hidden},
            "prompt": case.prompt,
            "upstream": facts,
        }
        return Video.from_thwc(self._asked(made, case), case.fps, info)

    def _paths(self, case: Case) -> Trajectories:
        """Return the paths of objects and camera at the model's own length and size; beyond their end they rest."""
        given = [case.trajectories] if case.camera is None else [case.trajectories, case.camera]
        size = self.native.size(case.width, case.height, self.pixels)
        moved = [geometry.to_canvas(paths, *size) if size != paths.canvas else paths for paths in given]
        joined = Trajectories(
            np.concatenate([paths.tracks_NT2 for paths in moved]),
            np.concatenate([paths.visible_NT for paths in moved]),
            size,
        )
        return geometry.extend(joined, self.native.length(case.frames))

    def _asked(self, made_THWC: ByteArray, case: Case) -> ByteArray:
        return resized(made_THWC[: case.frames], case.width, case.height)


def hidden_starts(paths: Trajectories) -> list[int]:
    """Return the numbers of the paths that are hidden or outside the picture in the first frame."""
    seen = geometry.inside_canvas(paths.tracks_NT2[:, 0], paths.canvas) & paths.visible_NT[:, 0]
    return [int(number) for number in np.flatnonzero(~seen)]


def _without(paths: Trajectories, absent: list[int]) -> Trajectories:
    kept = [number for number in range(paths.num_objects) if number not in absent]
    return replace(paths, tracks_NT2=paths.tracks_NT2[kept], visible_NT=paths.visible_NT[kept], names=())
