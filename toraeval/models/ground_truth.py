"""The suite's own render of a case: what a perfect model would make, and so the tracker's floor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toraeval.models.shared.base import Generator
from toraeval.types import Case, UserError, Video


class GroundTruth(Generator):
    """Returns the reference clip of each case; the seed changes nothing."""

    name = "ground_truth"
    version = "1"

    def fingerprint(self) -> dict[str, Any]:
        """Return name and version; the suite's own fingerprint covers the pixels."""
        return {"model": self.name, "version": self.version}

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: the case has no reference.
        """
        if case.reference is None:
            raise UserError(
                f"case {case.id}: suite {case.suite} has no ground truth at {case.frames} frames; allowed: a case with "
                "a real clip whose (length - 1) is a multiple of (frames - 1), or another model"
            )

    def generate(self, case: Case, seed: int) -> Video:
        """Return the reference clip.

        Raises:
            UserError: the case has none.
        """
        self.check_case(case, seed)
        assert case.reference is not None
        video = case.reference().video
        return replace(video, info={"generated": video.num_frames, "length_mode": "exact"})
