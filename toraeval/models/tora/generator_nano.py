"""The embedded size of the `tora` generator: shipped weights, one step, CPU."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from toraeval.config import ToraConfig
from toraeval.models.shared.base import need_first_frame, shipped_sha256
from toraeval.models.shared.nano.caption_encoder import prompt_facts
from toraeval.models.shared.nano.linear_patches import BLOCK, LinearPatchAutoencoder
from toraeval.models.shared.nano.pipeline import SamplingOptions, generate_frames
from toraeval.models.shared.trajectory import all_tracks, clipped_points
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.conditions.nano_motion import motion_conditions
from toraeval.models.tora.network.model import Tora as ToraNetwork
from toraeval.types import Case, UserError, Video

VERSION = "2"  # 2: blocks work in slices, which changes the last bits
DEFAULT_STEPS = 1  # chosen by `toraeval.training.recipes.choose_steps`, see docs/models/tora_steps.csv
MAX_FRAMES = 1024
CONDITIONS = ("auto", "first_frame")


class NanoTora:
    """Tora nano; it needs a first frame.

    Args:
        config: options; those of the full size must not be set.

    Raises:
        UserError: an option that this size does not have.
    """

    def __init__(self, config: ToraConfig) -> None:
        if config.condition not in CONDITIONS:
            raise UserError(
                f"tora: condition={config.condition}; allowed at size=nano: {', '.join(CONDITIONS)}"
            )
        self.condition = config.condition
        steps = DEFAULT_STEPS if config.steps is None else config.steps
        guidance = 1.0 if config.guidance is None else config.guidance
        self.options = SamplingOptions(steps, guidance, config.precision)
        self.path = Path(config.weights) if config.weights else checkpoint.weights_path()
        self._loaded: tuple[ToraNetwork, LinearPatchAutoencoder] | None = None

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file.

        Raises:
            MissingAsset: the file does not exist.
        """
        return shipped_sha256("tora", self.path, checkpoint.TRAIN_COMMAND)

    def prepare(self) -> None:
        """Load the weights, once."""
        if self._loaded is None:
            self._loaded = checkpoint.load(self.path)

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse what this model cannot make.

        Raises:
            UserError: frames outside 2..1024 or a side that is no multiple of 64.
        """
        if not 2 <= frames <= MAX_FRAMES:
            raise UserError(f"tora: frames={frames}; allowed: 2 to {MAX_FRAMES}")
        if height % (2 * BLOCK) or width % (2 * BLOCK) or min(height, width) < 2 * BLOCK:
            raise UserError(f"tora: size {width}x{height}; allowed: sides divisible by {2 * BLOCK}")

    def fingerprint(self) -> dict[str, Any]:
        """Return size, options, weights hash and generator version."""
        return {
            "model": "tora",
            "size": "nano",
            "version": VERSION,
            "steps": self.options.steps,
            "guidance": self.options.guidance,
            "precision": self.options.precision,
            "weights_sha256": self.weights_sha256,
        }

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: the case has no first frame, has a last one, or a size the model cannot make.
        """
        need_first_frame("tora", case)
        if case.last_frame_HWC is not None and self.condition == "auto":
            raise UserError(
                f"case {case.id}: tora size=nano takes no last frame; "
                "ignore it with condition=first_frame, or use size=xl2"
            )
        self.check(case.frames, case.height, case.width)

    def generate(self, case: Case, seed: int) -> Video:
        """Generate one clip of exactly `case.frames` frames.

        Raises:
            UserError: the case has no first frame, has a last one, or a size the model cannot make.
        """
        self.check_case(case, seed)
        self.prepare()
        assert self._loaded is not None
        model, vae = self._loaded
        frames = generate_frames(model, vae, case, seed, self.options, motion_conditions)
        info = {
            "requested": case.frames,
            "generated": len(frames),
            "length_mode": "exact" if len(frames) == case.frames else "cut",
            "first_frame": "given",
            "native_frames": "any (trained on 17 to 129)",
            "precision": self.options.precision,
            "device": "cpu",
            "points_moved_inside": clipped_points(all_tracks(case), case.width, case.height),
            **prompt_facts(case.prompt),
            **({} if case.camera is None else {"camera_paths": case.camera.num_objects}),
        }
        return Video.from_thwc(frames[: case.frames], case.fps, info)
