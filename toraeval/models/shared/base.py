"""What every generator offers to the main path."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from toraeval.store.keys import current_sha256
from toraeval.types import Case, MissingAsset, UserError, Video


class Generator(Protocol):
    """Turns a case into a video.

    Optional members, used where present:
        `prepare()` loads weights, once, before the first clip;
        `prepare_cases(cases)` does once, before any of these cases is generated, what they share, e.g. loads a text
            encoder for all of their captions; a case that it cannot serve is left for `generate` to refuse;
        `check(frames, height, width)` raises `UserError` for a request it cannot serve, before anything runs;
        `check_case(case, seed)` raises `UserError` for a case that `generate` would refuse, without loading weights;
        `label` replaces `name` in tables and folders;
        `case_fingerprint(case)` adds what depends on the case (e.g. the hash of a given file) to the video key.

    Attributes:
        name: registry name.
    """

    name: str

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes the pixels: options, hash of the weights, version; JSON-able."""
        ...

    def generate(self, case: Case, seed: int) -> Video:
        """Return exactly `case.frames` uint8 frames of `case.height` x `case.width`.

        `Video.info` says how the length was reached: `generated` (frames made before cutting), `length_mode`
        (`exact`, `cut`, `autoregressive`, ...) and, if it differs from the case's, the `prompt` as sent.
        Every random draw comes from a CPU generator keyed by the case and `seed`.
        """
        ...


def need_first_frame(model: str, case: Case) -> None:
    """Refuse a case without a first frame.

    Raises:
        UserError: the case has none.
    """
    if case.first_frame_HWC is None:
        raise UserError(f"case {case.id}: model {model} needs a first frame, and the suite gives none")


def shipped_sha256(model: str, weights: Path, train_command: str) -> str:
    """Return the SHA-256 of the weights file of an embedded model.

    Raises:
        MissingAsset: the file does not exist, with the command that makes it.
    """
    if not weights.exists():
        raise MissingAsset(f"{model}: no weights at {weights}; train them with: {train_command}")
    return current_sha256(weights)
