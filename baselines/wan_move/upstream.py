"""`model=wan_move size=upstream`: the released Wan-Move-14B-480P in its own environment.

81 frames of about 832x480 at 16 fps from a first frame, a caption and paths. Facts: ali-vilab/Wan-Move 27409be,
`generate.py` and `wan/wan_move.py` (Apache-2.0), whose mask of the first frame is written for 81 frames and no others.
"""

from __future__ import annotations

import numpy as np

from toraeval.allowed import check_options
from toraeval.types import Trajectories

from ..process.native import HIDDEN_STARTS, Native, NativeGenerator
from . import export
from .generator import WanMoveOptions

VERSION = "1"
DTYPES = ("bf16", "fp16", "fp32")


class UpstreamWanMove(NativeGenerator):
    """Runs the released Wan-Move.

    Args:
        config: see `WanMoveOptions`.

    Raises:
        UserError: an option outside its range.
    """

    name = "wan_move"
    label = "wan_move (upstream)"
    version = VERSION
    sent = ("steps", "guidance", "shift", "dtype", "offload", "t5_cpu", "hidden_start")
    steps, guidance = 40, 5.0
    native = Native(
        stride=4, least=81, most=81, multiple=16, pixels=832 * 480, fps=16, hidden="told to the model"
    )

    def __init__(self, config: WanMoveOptions) -> None:
        check_options("model wan_move size=upstream", config, hidden_start=HIDDEN_STARTS, dtype=DTYPES)
        self.hidden_start = config.hidden_start
        super().__init__(config, __file__)

    def arrays(self, paths: Trajectories) -> dict[str, np.ndarray]:
        """Return tracks and visibility as the program's two files hold them."""
        tracks, visible = export.arrays(paths)
        return {"tracks": tracks, "visibility": visible}

    def left_out(self, paths: Trajectories) -> list[int]:
        """Return the paths without a latent cell in the first frame: they would copy the corner of the picture."""
        if self.hidden_start == "as_given":
            return []
        return [int(n) for n in np.flatnonzero(export.cells(paths)[:, 0, 0] == export.NOWHERE)]
