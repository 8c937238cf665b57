"""The `wan_move` generator at the embedded size: all frames at once, CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from toraeval.models.shared.nano.generator import NanoGenerator
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.nano.pipeline import ClipRequest
from toraeval.registry import unknown
from toraeval.types import UserError

from . import checkpoint
from .copies import copied_latents
from .network import WanMoveNetwork

SIZES = ("nano",)


@dataclass
class WanMoveOptions:
    """Options of `model=wan_move`.

    Attributes:
        size: nano (embedded).
        steps: sampling steps, 1 to 1000; None is the default.
        guidance: classifier-free guidance scale, at least 1; None is the default, 1 (off).
        precision: bf16 or fp32.
        weights: file of your own.
    """

    size: str = "nano"
    steps: int | None = None
    guidance: float | None = None
    precision: str = "bf16"
    weights: str | None = None


class WanMove(NanoGenerator):
    """Wan-Move (arXiv 2512.08765) as an embedded model; it needs a first frame.

    Args:
        options: fields of `WanMoveOptions`.

    Raises:
        UserError: an unknown size or an option outside its range.
    """

    name = checkpoint.NAME
    options_class = WanMoveOptions

    def __init__(self, **options: Any) -> None:
        config = self.options_class(**options)
        if config.size not in SIZES:
            raise UserError(f"{self.name}: {unknown('size', config.size, SIZES)}")
        super().__init__(config)

    def shipped(self) -> Path:
        return checkpoint.weights_path()

    def load(self) -> tuple[WanMoveNetwork, LinearPatchAutoencoder]:
        return checkpoint.load(self.path)

    @staticmethod
    def conditions(
        network: WanMoveNetwork,
        vae: LinearPatchAutoencoder,
        request: ClipRequest,
        first_1C1hw: Tensor,
        rows: int,
    ) -> dict[str, Any]:
        """Return the caption and latents copied along the paths, see `NanoGenerator.conditions`."""
        copies = copied_latents(first_1C1hw[0, :, 0].permute(1, 2, 0), request.tracks_NT2)
        told = copies.permute(3, 0, 1, 2)[None].repeat(rows, 1, 1, 1, 1)
        return {"text": network.guided_text(request.prompt, rows), "copies": told}
