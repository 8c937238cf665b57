"""`model=wan_fun_control`: the released Wan2.1-Fun-V1.1-1.3B-Control in its own environment.

Up to 81 frames of about 832x480 at 16 fps from a caption, a control video of white spots, and a first frame where the
case has one. Facts: aigc-apps/VideoX-Fun 804a425, `examples/wan2.1_fun/predict_v2v_control.py` (Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toraeval.allowed import SHARE, check_options
from toraeval.types import Trajectories

from ..process.native import Native, NativeGenerator, NativeOptions
from . import export

VERSION = "1"
MEMORY = ("model_full_load", "model_cpu_offload", "sequential_cpu_offload")


@dataclass
class WanFunControlOptions(NativeOptions):
    """Options of `model=wan_fun_control`.

    Attributes:
        size: upstream (the released model); there is no other.
        memory: model_full_load, model_cpu_offload or sequential_cpu_offload (least GPU memory, slowest).
        teacache: threshold below which steps reuse what the last one computed; the script's is 0.1, 0 turns it off.
    """

    size: str = "upstream"
    memory: str = "model_cpu_offload"
    teacache: float = 0.1


class WanFunControl(NativeGenerator):
    """Wan2.1-Fun-V1.1-1.3B-Control by the authors' code, steered by a spot per path.

    Args:
        options: fields of `WanFunControlOptions`.

    Raises:
        UserError: an option outside its range.
    """

    name = "wan_fun_control"
    version = VERSION
    sent = ("steps", "guidance", "memory", "teacache")
    options_class = WanFunControlOptions
    steps, guidance = 50, 6.0
    native = Native(
        stride=4,
        least=5,
        most=81,
        multiple=16,
        pixels=832 * 480,
        fps=16,
        hidden="drawn as if visible",
        first_frame="used",
    )

    def __init__(self, **options: Any) -> None:
        config = self.options_class(**options)
        check_options("model wan_fun_control", config, size=("upstream",), memory=MEMORY, teacache=SHARE)
        super().__init__(config, __file__)

    def arrays(self, paths: Trajectories) -> dict[str, np.ndarray]:
        """Return the control video."""
        return {"control": export.control_video(paths)}
