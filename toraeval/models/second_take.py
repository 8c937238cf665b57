"""Another real take of each case's scene: how far apart reality is from itself, a row beside the models'.

Where two takes of one scene exist, no model can be expected to come nearer to one of them than the other take does:
what Physics-IQ (arXiv 2501.09038) calls physical variance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toraeval.models.shared.base import Generator
from toraeval.types import Case, UserError, Video


class SecondTake(Generator):
    """Returns the second real clip of each case; the seed changes nothing."""

    name = "second_take"
    version = "1"

    def fingerprint(self) -> dict[str, Any]:
        """Return name and version; the suite's own fingerprint covers the pixels."""
        return {"model": self.name, "version": self.version}

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse.

        Raises:
            UserError: there is no second take.
        """
        if case.second_take is None:
            raise UserError(
                f"case {case.id}: suite {case.suite} has no second take of it at {case.frames} frames; in suite=folder "
                f"it is a file {case.id}.take2.mp4 whose (length - 1) is a multiple of {case.frames - 1}"
            )

    def generate(self, case: Case, seed: int) -> Video:
        """Return the second take.

        Raises:
            UserError: the case has none.
        """
        self.check_case(case, seed)
        assert case.second_take is not None
        video = case.second_take()
        return replace(video, info={"generated": video.num_frames, "length_mode": "exact"})
