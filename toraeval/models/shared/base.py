"""What every generator offers to the main path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toraeval.allowed import Numbers
from toraeval.types import Case, Part, UserError, Video

STEPS, GUIDANCE = Numbers(1, 1000), Numbers(1)  # of a sampler; guidance 1 turns it off
MAX_FRAMES = 1024  # of a clip; what lies beyond is more likely a slip than a wish


class Generator(Part):
    """Turns a case into a video; `fingerprint` and `generate` are all that it must have.

    Attributes:
        name: registry name.
        label: replaces `name` in tables and folders, where given.
    """

    __slots__ = ()

    label: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed about given files, a line each."""
        return ()

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse a request that it cannot serve, before anything runs.

        Raises:
            UserError: such a length or size.
        """

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: such a case.
        """

    def case_fingerprint(self, case: Case) -> dict[str, Any] | None:
        """Return what else depends on the case, e.g. the hash of a given file; it becomes part of the video's key."""
        return None

    def prepare(self) -> None:
        """Load the weights, once, before the first clip."""

    def prepare_cases(self, cases: Sequence[Case]) -> None:
        """Do once, before any of these cases is generated, what they share, e.g. load a text encoder for all captions.

        A case that it cannot serve is left for `generate` to refuse.
        """

    def generate(self, case: Case, seed: int) -> Video:
        """Return exactly `case.frames` uint8 frames of `case.height` x `case.width`.

        `Video.info` says how the length was reached: `generated` (frames made before cutting), `length_mode`
        (`exact`, `cut`, `autoregressive`, ...) and, if it differs from the case's, the `prompt` as sent.
        Every random draw comes from a CPU generator keyed by the case and `seed`.
        """
        raise NotImplementedError(f"model {self.name} does not generate")


def need_first_frame(model: str, case: Case) -> None:
    """Refuse a case without a first frame.

    Raises:
        UserError: the case has none.
    """
    if case.first_frame_HWC is None:
        raise UserError(f"case {case.id}: model {model} needs a first frame, and the suite gives none")
