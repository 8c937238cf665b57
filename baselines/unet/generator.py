"""The embedded size of the rivals: shipped weights, CPU, 17 frames at a time or all at once."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

from toraeval.config.models import RivalConfig
from toraeval.models.shared.base import need_first_frame, shipped_sha256
from toraeval.models.shared.nano.caption_encoder import prompt_facts
from toraeval.models.shared.nano.checkpoint import train_command
from toraeval.models.shared.nano.linear_patches import BLOCK, LinearPatchAutoencoder
from toraeval.models.shared.nano.pipeline import SamplingOptions
from toraeval.models.shared.trajectory import all_tracks
from toraeval.types import Case, UserError, Video

from . import checkpoint
from .network import UNet
from .sampling import sample_window
from .windows import WINDOW, plan_windows, roll_out, seams

VERSION = "1"
MAX_FRAMES = 1024
PRECISIONS = ("bf16", "fp32")


class EmbeddedRival:
    """One of the embedded U-Nets; it needs a first frame.

    Args:
        name: `motionctrl` or `dragnuwa`.
        config: options; None stands for the default.
        default_steps: sampling steps if the options give none.

    Raises:
        UserError: an option outside its range.
    """

    version = VERSION

    def __init__(self, name: str, config: RivalConfig, default_steps: int) -> None:
        steps = default_steps if config.steps is None else config.steps
        guidance = 1.0 if config.guidance is None else config.guidance
        if not 1 <= steps <= 1000:
            raise UserError(f"{name}: steps={steps}; allowed: 1 to 1000")
        if not 1.0 <= guidance < float("inf"):
            raise UserError(f"{name}: guidance={guidance}; allowed: 1 (off) and larger")
        if config.precision not in PRECISIONS:
            raise UserError(f"{name}: precision={config.precision}; allowed: {', '.join(PRECISIONS)}")
        plan_windows(WINDOW, config.long_video, config.overlap)  # refuses what it does not know
        self.name, self.mode, self.overlap = name, config.long_video, config.overlap
        self.label = f"{name} (direct)" if self.mode == "direct" else None
        self.options = SamplingOptions(steps, guidance, config.precision)
        self.path = Path(config.weights) if config.weights else checkpoint.weights_path(name)
        self._loaded: tuple[UNet, LinearPatchAutoencoder] | None = None

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file.

        Raises:
            MissingAsset: the file does not exist.
        """
        return shipped_sha256(self.name, self.path, train_command(self.name))

    def prepare(self) -> None:
        """Load the weights, once."""
        if self._loaded is None:
            self._loaded = checkpoint.load(self.path, self.name)

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse what this model cannot make.

        Raises:
            UserError: frames outside 2..1024 or a side that is no multiple of 32, or below 64.
        """
        if not 2 <= frames <= MAX_FRAMES:
            raise UserError(f"{self.name}: frames={frames}; allowed: 2 to {MAX_FRAMES}")
        if height % BLOCK or width % BLOCK or min(height, width) < 2 * BLOCK:
            raise UserError(
                f"{self.name}: size {width}x{height}; allowed: sides divisible by {BLOCK}, at least {2 * BLOCK}"
            )

    def fingerprint(self) -> dict[str, Any]:
        """Return size, options, weights hash and generator version."""
        return {
            "model": self.name,
            "size": "nano",
            "version": VERSION,
            "steps": self.options.steps,
            "guidance": self.options.guidance,
            "precision": self.options.precision,
            "long_video": self.mode,
            "overlap": self.overlap,
            "weights_sha256": self.weights_sha256,
        }

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: the case has no first frame, has a last one, or a size the model cannot make.
        """
        need_first_frame(self.name, case)
        if case.last_frame_HWC is not None:
            raise UserError(
                f"case {case.id}: {self.name} takes no last frame; allowed: cases with a first frame only"
            )
        self.check(case.frames, case.height, case.width)

    def generate(self, case: Case, seed: int) -> Video:
        """Generate one clip of exactly `case.frames` frames.

        Raises:
            UserError: the case has no first frame, has a last one, or a size the model cannot make.
        """
        self.check_case(case, seed)
        assert case.first_frame_HWC is not None
        self.prepare()
        assert self._loaded is not None
        plan = plan_windows(case.frames, self.mode, self.overlap)
        make = partial(sample_window, *self._loaded, case, seed, self.options)
        frames = roll_out(plan, case.first_frame_HWC, all_tracks(case), make)
        whole = "exact" if len(frames) == case.frames else "cut"
        info = {
            "requested": case.frames,
            "generated": len(frames),
            "length_mode": self.mode if case.frames > WINDOW else whole,
            "windows": len(plan),
            "seams": seams(plan),
            "overlap": self.overlap if len(plan) > 1 else None,
            "steps": self.options.steps,
            "first_frame": "given",
            "native_frames": f"{WINDOW} (the first one given)",
            "precision": self.options.precision,
            "device": "cpu",
            **prompt_facts(case.prompt),
            **({} if case.camera is None else {"camera_paths": case.camera.num_objects}),
        }
        return Video.from_thwc(frames[: case.frames], case.fps, info)
