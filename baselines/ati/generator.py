"""`model=ati`: the released ATI (any-trajectory instruction) in its own environment.

81 frames of about 832x480 at 16 fps from a first frame, a caption and paths. Facts: bytedance/ATI 168b443,
`generate.py` and `wan/image2video.py` (Apache-2.0), whose mask of the first frame and tracks are written for 81 frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toraeval.allowed import check_options
from toraeval.types import Trajectories

from ..process.native import (
    HIDDEN_STARTS,
    Native,
    NativeGenerator,
    NativeOptions,
    hidden_starts,
)
from . import export

VERSION = "1"


@dataclass
class ATIOptions(NativeOptions):
    """Options of `model=ati`.

    Attributes:
        size: upstream (the released model); there is no other.
        hidden_start: `leave_out` paths that are hidden or outside in the first frame, or send them `as_given`.
        shift: of the noise schedule; the authors' value is 5.
        offload: keep each network on the CPU while it is not in use.
        t5_cpu: run the text encoder on the CPU.
    """

    size: str = "upstream"
    hidden_start: str = "leave_out"
    shift: float = 5.0
    offload: bool = True
    t5_cpu: bool = True


class ATI(NativeGenerator):
    """ATI (arXiv 2505.22944) on Wan2.1 I2V 14B, by the authors' code; it needs a first frame.

    Args:
        options: fields of `ATIOptions`.

    Raises:
        UserError: an option outside its range.
    """

    name = "ati"
    version = VERSION
    sent = ("steps", "guidance", "shift", "offload", "t5_cpu", "hidden_start")
    options_class = ATIOptions
    steps, guidance = 40, 5.0
    native = Native(
        stride=4, least=81, most=81, multiple=16, pixels=832 * 480, fps=16, hidden="told to the model"
    )

    def __init__(self, **options: Any) -> None:
        config = self.options_class(**options)
        check_options("model ati", config, size=("upstream",), hidden_start=HIDDEN_STARTS)
        self.hidden_start = config.hidden_start
        super().__init__(config, __file__)

    def arrays(self, paths: Trajectories) -> dict[str, np.ndarray]:
        """Return the samples that the program's track file holds."""
        return {"samples": export.samples(paths)}

    def left_out(self, paths: Trajectories) -> list[int]:
        """Return the paths that are hidden or outside in the first frame: they would take on what hides them."""
        return [] if self.hidden_start == "as_given" else hidden_starts(paths)
