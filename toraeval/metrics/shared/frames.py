"""From frames of a clip to the input of a network: one fixed recipe, whatever else is installed.

Legend of the shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from toraeval.types import ByteArray, Video

if TYPE_CHECKING:
    from torch import Tensor

# what the networks look at that were trained on the world `shapes`: pixels of a side, and frames of a clip
SHAPES_SIDE, SHAPES_FRAMES = 128, 16
CHUNK = 8  # frames that are fed at once, always; it bounds the memory and fixes the shape of every product
REMEMBERED = 256  # frames of a clip that are kept prepared, 0.2 MB each at 128x128: long clips take no more
K = TypeVar("K")
V = TypeVar("V")


class OfLatest(Generic[K, V]):
    """What is remembered of one clip; that of the clip before is dropped. Threads may ask at once."""

    def __init__(self) -> None:
        self._held: tuple[weakref.ref[Video], dict[K, V]] | None = None

    def __call__(self, video: Video) -> dict[K, V]:
        """Return what is remembered of a clip, to be added to."""
        held = self._held  # read and written as one, since another thread may ask for another clip
        if held is None or held[0]() is not video:
            held = self._held = weakref.ref(video), {}
        return held[1]


@dataclass(frozen=True)
class Preparation:
    """How frames become network input.

    Attributes:
        side: height and width of the input.
        fit: `squash` (both sides, the aspect is lost) or `crop` (shorter side to `side`, then the centre).
        filter: `bilinear` or `bicubic`.
        antialias: whether the filter widens when pictures get smaller.
        mean, std: per channel, applied to values in [0, 1].
    """

    side: int
    fit: str
    filter: str
    antialias: bool
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __call__(self, frames_TCHW: ByteArray) -> Tensor:
        """Return float32 (T, 3, side, side) of uint8 frames.

        Values are brought back into the range of the pixels after resizing, then normalised.
        """
        import torch

        return torch.stack([self._prepared(frame) for frame in frames_TCHW])

    def of(self, video: Video, chosen: Iterable[int]) -> Tensor:
        """Return the same of the chosen frames of a clip; metrics with one recipe share what they resized last."""
        import torch

        known = _prepared(video).setdefault(self, {})
        pictures = []
        for t in map(int, chosen):
            picture = known[t] if t in known else self._prepared(video.frames_TCHW[t])
            if len(known) < REMEMBERED:
                known[t] = picture
            pictures.append(picture)
        return torch.stack(pictures)

    def _prepared(self, frame_CHW: ByteArray) -> Tensor:
        import torch
        from torch.nn import functional as F

        # one picture at a time with its channels last, as clips lie in memory: twice as fast, bit for bit the same
        picture = torch.from_numpy(np.require(frame_CHW.transpose(1, 2, 0), requirements=["C", "W"]))
        x = picture.permute(2, 0, 1)[None].float()
        height, width = x.shape[2:]
        if self.fit == "squash":
            size = (self.side, self.side)
        else:
            short = min(height, width)
            size = (-(-height * self.side // short), -(-width * self.side // short))  # rounded up
        if size != (height, width):
            x = F.interpolate(x, size, mode=self.filter, antialias=self.antialias, align_corners=False)
        top, left = (size[0] - self.side) // 2, (size[1] - self.side) // 2
        x = x[0, :, top : top + self.side, left : left + self.side].contiguous().clamp(0, 255) / 255
        return (x - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.std).view(3, 1, 1)


_prepared: OfLatest[Preparation, dict[int, Tensor]] = OfLatest()


def in_chunks(frames_TCHW: Tensor, size: int = CHUNK) -> Iterator[tuple[Tensor, int]]:
    """Yield chunks of exactly `size` frames and how many of them count; the last one is filled up with its last frame.

    The numbers of a matrix product may depend on its shape in the last bit; this way the shape never changes.
    """
    import torch

    for start in range(0, len(frames_TCHW), size):
        chunk = frames_TCHW[start : start + size]
        count = len(chunk)
        if count < size:
            chunk = torch.cat([chunk, chunk[-1:].expand(size - count, -1, -1, -1)])
        yield chunk, count
