"""What a step of a video model trains on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Clips of one size, with what the network is given of them."""

    latents_BCTHW: Tensor  # float32 or, as they are stored, float16
    # what the network reads of the paths, clips first, in the order of axes that it wants; None for no path
    motion: Tensor | None
    text: Tensor  # caption features (B, 1, L, C), or numbers of words int64 (B, L)
    # of the clips, in frames and pixels; of the whole picture where windows are cut out
    frames: int
    height: int
    width: int
    fps: Tensor  # float32 frames per second (B,), or (1,) for all
    text_mask_BL: Tensor | None = None  # int64, nonzero keeps a token; None keeps all
    origins_B2: Tensor | None = None  # first token of each clip's window; None for whole pictures
    whole: tuple[int, int] = (0, 0)  # token rows and columns of the whole picture; given with windows

    def __len__(self) -> int:
        return self.latents_BCTHW.shape[0]

    def first(self, clips: int) -> Batch:
        """Return the batch without what comes after the first N clips, N >= 1."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        kept: dict[str, Any] = {name: v[:clips] for name, v in given.items() if isinstance(v, Tensor)}
        return replace(self, **kept)
