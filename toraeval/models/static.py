"""The first frame repeated: a video that ignores its path altogether."""

from __future__ import annotations

from typing import Any

import numpy as np

from toraeval.models.shared.base import Generator, need_first_frame
from toraeval.types import Case, Video


class Static(Generator):
    """Repeats the first frame; what a model must beat to claim any control."""

    name = "static"
    version = "1"

    def fingerprint(self) -> dict[str, Any]:
        """Return name and version."""
        return {"model": self.name, "version": self.version}

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: the case has no first frame.
        """
        need_first_frame(self.name, case)

    def generate(self, case: Case, seed: int) -> Video:
        """Return `case.frames` views of the first frame.

        Raises:
            UserError: the case has no first frame.
        """
        self.check_case(case, seed)
        first_HWC = np.asarray(case.first_frame_HWC)
        frames_THWC = np.broadcast_to(first_HWC, (case.frames, *first_HWC.shape))
        return Video.from_thwc(frames_THWC, case.fps, {"generated": case.frames, "length_mode": "exact"})
