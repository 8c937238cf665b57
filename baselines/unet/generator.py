"""The embedded size of the rivals: shipped weights, CPU, 17 frames at a time or all at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.models.shared.nano.generator import NanoGenerator
from toraeval.models.shared.nano.pipeline import BLOCK, WINDOW, ClipRequest, Window, plan_windows, seams
from toraeval.trajectories.displacement import displacement_maps
from toraeval.types import Case

from . import checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder

    from .network import UNet

VERSION = "1"


@dataclass
class RivalOptions:
    """Options that `model=motionctrl` and `model=dragnuwa` have in common.

    Attributes:
        size: nano (embedded) or upstream (the authors' repository).
        long_video: how more than 17 frames are reached: autoregressive or direct; nano only.
        overlap: frames that a window is given of the one before: 1, 5 or 9; nano only.
        steps: sampling steps, 1 to 1000; None is the default of the size.
        guidance: classifier-free guidance scale, at least 1; None is the default of the size.
        precision: bf16 or fp32; nano only.
        weights: file of your own; nano only.
    """

    size: str = "nano"
    long_video: str = "autoregressive"
    overlap: int = 1
    steps: int | None = None
    guidance: float | None = None
    precision: str = "bf16"
    weights: str | None = None


class EmbeddedRival(NanoGenerator):
    """One of the embedded U-Nets; it needs a first frame.

    Args:
        name: `motionctrl` or `dragnuwa`.
        config: options; None stands for the default.
        default_steps: sampling steps if the options give none.

    Raises:
        UserError: an option outside its range.
    """

    version = VERSION
    multiple = BLOCK
    lengths = f"{WINDOW} (the first one given)"

    def __init__(self, name: str, config: RivalOptions, default_steps: int) -> None:
        self.name, self.default_steps = name, default_steps  # type: ignore[misc]
        self.mode, self.overlap = config.long_video, config.overlap
        super().__init__(config)
        self.plan(WINDOW)  # refuses what it does not know
        self.label = f"{name} (direct)" if self.mode == "direct" else None

    def shipped(self) -> Path:
        return checkpoint.weights_path(self.name)

    def load(self) -> tuple[UNet, LinearPatchAutoencoder]:
        return checkpoint.load(self.path, self.name)

    @staticmethod
    def conditions(
        network: UNet, vae: LinearPatchAutoencoder, request: ClipRequest, first_1C1hw: Tensor, rows: int
    ) -> dict[str, Any]:
        """Return caption and motion features, see `NanoGenerator.conditions`.

        Under guidance the null half sees what the published code shows it: MotionCtrl's an empty flow, DragNUWA's the
        same drags. Both halves get the copies of entity binding.
        """
        import torch

        from toraeval.models.shared.nano.copies import copies_of_paths

        height, width = request.size
        maps = torch.from_numpy(displacement_maps(request.tracks_NT2, width, height))[None]
        if rows == 2:
            maps = torch.cat((maps, maps if network.null_keeps_paths else torch.zeros_like(maps)))
        told = {"y": network.guided_text(request.prompt, rows), "motion": network.encode_motion(maps)}
        if network.config.binding == "entity":
            told["copies"] = copies_of_paths(vae, first_1C1hw, request.tracks_NT2).repeat(rows, 1, 1, 1, 1)
        return told

    def plan(self, frames: int) -> list[Window]:
        return plan_windows(frames, self.mode, self.overlap)

    def noise_key(self, case: Case, window: Window) -> str:
        return f"{case.suite}/{case.id}/{window.index}"

    def choices(self) -> dict[str, Any]:
        return {"long_video": self.mode, "overlap": self.overlap}

    def facts(self, case: Case, plan: list[Window]) -> dict[str, Any]:
        return {
            **({"length_mode": self.mode} if case.frames > WINDOW else {}),
            "windows": len(plan),
            "seams": seams(plan),
            "overlap": self.overlap if len(plan) > 1 else None,
            **super().facts(case, plan),
        }
