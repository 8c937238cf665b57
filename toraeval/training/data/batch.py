"""What a step of a video model trains on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Clips of one size, with what the network is given of them.

    Attributes:
        latents_BCTHW: latents of the clips, float32 or, as they are stored, float16.
        motion: what the network reads of the paths, clips first, in the order of axes that it wants; None for no path.
        text: caption features (B, 1, L, C), or numbers of words int64 (B, L).
        frames, height, width: of the clips, in frames and pixels; of the whole picture where windows are cut out.
        text_mask_BL: int64, nonzero keeps a token; None keeps all.
        fps: float32 frames per second (B,), or (1,) for all.
        origins_B2: first token of each clip's window; None where whole pictures are trained on.
        whole: token rows and columns of the whole picture; given with windows.
    """

    latents_BCTHW: Tensor
    motion: Tensor | None
    text: Tensor
    frames: int
    height: int
    width: int
    fps: Tensor
    text_mask_BL: Tensor | None = None
    origins_B2: Tensor | None = None
    whole: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return self.latents_BCTHW.shape[0]

    def first(self, clips: int) -> Batch:
        """Return the batch without what comes after the first N clips, N >= 1."""
        named = {
            name: None if value is None else value[:clips]
            for name in ("latents_BCTHW", "motion", "text", "text_mask_BL", "origins_B2")
            for value in (getattr(self, name),)
        }
        fps = self.fps[:clips]
        return replace(self, **named, fps=fps)  # type: ignore[arg-type]
