"""The `wan_move` generator at the embedded size: all frames at once, CPU."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval.config.models import WanMoveConfig
from toraeval.models.shared.base import need_first_frame, shipped_sha256
from toraeval.models.shared.nano.caption_encoder import prompt_facts
from toraeval.models.shared.nano.checkpoint import train_command
from toraeval.models.shared.nano.linear_patches import BLOCK, LinearPatchAutoencoder
from toraeval.models.shared.nano.pipeline import SamplingOptions, generate_frames
from toraeval.models.shared.network.captioned import CaptionedSTDiT
from toraeval.registry import unknown
from toraeval.types import Case, FloatArray, UserError, Video

from . import checkpoint
from .copies import copied_latents
from .network import WanMoveNetwork

VERSION = "1"
DEFAULT_STEPS = 1
MAX_FRAMES = 1024
SIZES = ("nano",)
PRECISIONS = ("bf16", "fp32")


def copy_conditions(
    model: CaptionedSTDiT, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first: Tensor, rows: int
) -> dict[str, Any]:
    """Return what the network is told of the paths; see `toraeval.models.shared.nano.pipeline.Conditions`."""
    copies = copied_latents(first[0, :, 0].permute(1, 2, 0), tracks_NT2)
    return {"copies": copies.permute(3, 0, 1, 2)[None].repeat(rows, 1, 1, 1, 1)}


class WanMove:
    """Wan-Move (arXiv 2512.08765) as an embedded model; it needs a first frame.

    Args:
        options: fields of `toraeval.config.models.WanMoveConfig`.

    Raises:
        UserError: an unknown size or an option outside its range.
    """

    name = checkpoint.NAME
    version = VERSION
    options_class = WanMoveConfig

    def __init__(self, **options: Any) -> None:
        config = self.options_class(**options)
        if config.size not in SIZES:
            raise UserError(f"{self.name}: {unknown('size', config.size, SIZES)}")
        steps = DEFAULT_STEPS if config.steps is None else config.steps
        guidance = 1.0 if config.guidance is None else config.guidance
        if not 1 <= steps <= 1000:
            raise UserError(f"{self.name}: steps={steps}; allowed: 1 to 1000")
        if not 1.0 <= guidance < float("inf"):
            raise UserError(f"{self.name}: guidance={guidance}; allowed: 1 (off) and larger")
        if config.precision not in PRECISIONS:
            raise UserError(f"{self.name}: precision={config.precision}; allowed: {', '.join(PRECISIONS)}")
        self.options = SamplingOptions(steps, guidance, config.precision)
        self.path = Path(config.weights) if config.weights else checkpoint.weights_path()
        self._loaded: tuple[WanMoveNetwork, LinearPatchAutoencoder] | None = None

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
            self._loaded = checkpoint.load(self.path)

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse what this model cannot make.

        Raises:
            UserError: frames outside 2..1024 or a side that is no multiple of 64.
        """
        if not 2 <= frames <= MAX_FRAMES:
            raise UserError(f"{self.name}: frames={frames}; allowed: 2 to {MAX_FRAMES}")
        if height % (2 * BLOCK) or width % (2 * BLOCK) or min(height, width) < 2 * BLOCK:
            raise UserError(f"{self.name}: size {width}x{height}; allowed: sides divisible by {2 * BLOCK}")

    def fingerprint(self) -> dict[str, Any]:
        """Return size, options, weights hash and generator version."""
        return {
            "model": self.name,
            "size": "nano",
            "version": VERSION,
            "steps": self.options.steps,
            "guidance": self.options.guidance,
            "precision": self.options.precision,
            "weights_sha256": self.weights_sha256,
        }

    def generate(self, case: Case, seed: int) -> Video:
        """Generate one clip of exactly `case.frames` frames.

        Raises:
            UserError: the case has no first frame, has a last one, or a size the model cannot make.
        """
        need_first_frame(self.name, case)
        if case.last_frame_HWC is not None:
            raise UserError(
                f"case {case.id}: {self.name} takes no last frame; allowed: cases with a first frame only"
            )
        self.check(case.frames, case.height, case.width)
        self.prepare()
        assert self._loaded is not None
        with torch.no_grad():
            frames = generate_frames(*self._loaded, case, seed, self.options, copy_conditions)
        info = {
            "requested": case.frames,
            "generated": len(frames),
            "length_mode": "exact" if len(frames) == case.frames else "cut",
            "steps": self.options.steps,
            "first_frame": "given",
            "native_frames": "any (trained on 17 to 129)",
            "precision": self.options.precision,
            "device": "cpu",
            **prompt_facts(case.prompt),
            **({} if case.camera is None else {"camera_paths": case.camera.num_objects}),
        }
        return Video.from_thwc(frames[: case.frames], case.fps, info)
