"""`model=ltx_motion_track`: LTX-2.3 with Lightricks' IC-LoRA for motion tracks, in its own environment.

Frames of about 1536x1024 (made at half that size, then refined) at 24 fps from a caption, a first frame and a guide
video. Facts: Lightricks/LTX-2 400fd31, `ltx_pipelines/ic_lora.py` (LTX-2 Community License). The LoRA wants the guide
at half of the first stage's size, a quarter of the last, and the autoencoder works on blocks of 32 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toraeval import geometry
from toraeval.allowed import Numbers, check_option, check_options
from toraeval.types import Trajectories, UserError

from ..process.native import Native, NativeGenerator, NativeOptions
from . import export

VERSION = "1"
OFFLOAD = ("none", "cpu", "disk")
QUANTIZATION = ("none", "fp8-cast")


@dataclass
class LTXMotionTrackOptions(NativeOptions):
    """Options of `model=ltx_motion_track`; the distilled model has neither `steps` nor `guidance` to choose.

    Attributes:
        size: upstream (the released model); there is no other.
        offload: where weights wait while they are not in use: none (GPU), cpu or disk.
        quantization: none (bfloat16) or fp8-cast, half the memory.
        guide_strength: how strongly the guide video acts, 0 to 1.
    """

    size: str = "upstream"
    offload: str = "none"
    quantization: str = "none"
    guide_strength: float = 1.0


class LTXMotionTrack(NativeGenerator):
    """LTX-2.3 22B distilled with the motion-track LoRA, by the authors' pipeline; it needs a first frame.

    Args:
        options: fields of `LTXMotionTrackOptions`.

    Raises:
        UserError: an option outside its range.
    """

    name = "ltx_motion_track"
    version = VERSION
    sent = ("offload", "quantization", "guide_strength")
    options_class = LTXMotionTrackOptions
    native = Native(
        stride=8,
        least=9,
        most=481,  # 20 s, the longest that its own prediction of lengths proposes
        multiple=128,
        pixels=1536 * 1024,
        fps=24,
        hidden="drawn as if visible",
    )

    def __init__(self, **options: Any) -> None:
        config = self.options_class(**options)
        what = "model ltx_motion_track"
        check_options(what, config, size=("upstream",), offload=OFFLOAD, quantization=QUANTIZATION)
        check_option(what, "guide_strength", config.guide_strength, Numbers(0, 1, above=True))
        if config.steps is not None or config.guidance is not None:
            raise UserError(
                f"{what}: steps={config.steps} guidance={config.guidance}; allowed: leave both out, the distilled "
                "model has its own 8 and 3 steps and no guidance"
            )
        super().__init__(config, __file__)

    def arrays(self, paths: Trajectories) -> dict[str, np.ndarray]:
        """Return the guide video at the size of the first stage, the only one that sees it."""
        width, height = paths.canvas
        return {"guide": export.guide_video(geometry.to_canvas(paths, width // 2, height // 2))}
