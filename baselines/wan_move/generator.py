"""The `wan_move` generator: embedded (all frames at once, CPU), or the released model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.models.shared.nano.generator import NanoGenerator
from toraeval.models.shared.nano.pipeline import ClipRequest

from ..process.native import NativeOptions
from ..unet.rival import Rival
from . import checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder

    from .network import WanMoveNetwork


@dataclass
class WanMoveOptions(NativeOptions):
    """Options of `model=wan_move`; `precision` and `weights` are for size=nano, all others for size=upstream.

    Attributes:
        size: nano (embedded) or upstream (the released model).
        steps: sampling steps, 1 to 1000; None is the default of the size.
        guidance: classifier-free guidance scale, at least 1; None is the default of the size.
        precision: bf16 or fp32; nano only.
        weights: file of your own; nano only.
        hidden_start: `leave_out` paths that are hidden or outside in the first frame, or send them `as_given`.
        dtype: of the released transformer: bf16, fp16 or fp32.
        shift: of the noise schedule; the authors' value for 480 lines is 3.
        offload: keep each network on the CPU while it is not in use.
        t5_cpu: run the text encoder on the CPU.
    """

    size: str = "nano"
    precision: str = "bf16"
    weights: str | None = None
    hidden_start: str = "leave_out"
    dtype: str = "bf16"
    shift: float = 3.0
    offload: bool = True
    t5_cpu: bool = True


class WanMove(Rival):
    """Wan-Move (arXiv 2512.08765), embedded or as released; it needs a first frame.

    Args:
        options: fields of `WanMoveOptions`.
    """

    name = checkpoint.NAME
    version = "1"
    options_class = WanMoveOptions
    upstream = "wan_move.upstream:UpstreamWanMove"

    @classmethod
    def _embedded(cls, config: Any) -> EmbeddedWanMove:
        return EmbeddedWanMove(config)


class EmbeddedWanMove(NanoGenerator):
    """The idea of Wan-Move as a small network; it needs a first frame.

    Args:
        config: steps, guidance, precision, weights.

    Raises:
        UserError: an option outside its range.
    """

    name = checkpoint.NAME

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
        from toraeval.models.shared.nano.copies import copies_of_paths

        copies = copies_of_paths(vae, first_1C1hw, request.tracks_NT2).repeat(rows, 1, 1, 1, 1)
        return {"text": network.guided_text(request.prompt, rows), "copies": copies}
