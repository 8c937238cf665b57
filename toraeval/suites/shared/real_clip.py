"""A real clip at the length and size of a case, decoded when it is asked for.

Shape legend: T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from toraeval.suites.shared import first_frame
from toraeval.types import UserError, Video


def shared_frames(native: int, frames: int) -> npt.NDArray[np.int64] | None:
    """Return which frames of a clip of `native` are those of a case of `frames`, or None where they do not meet.

    Paths are brought to a length evenly, so that only a whole number of frames per step falls on real frames.
    """
    if frames < 2 or (native - 1) % (frames - 1):
        return None
    return np.arange(frames) * ((native - 1) // (frames - 1))


def fitted(
    read: Callable[[], Video], name: str, native: int, frames: int, fps: float, size: tuple[int, int]
) -> Callable[[], Video] | None:
    """Return what reads a clip as a case has it, or None where its frames do not fall on the case's.

    Args:
        read: decodes it.
        name: for messages.
        native: frames it must have.
        frames, fps, size: of the case; size is `(width, height)`, covered and cropped as first frames are.
    """
    chosen = shared_frames(native, frames)
    if chosen is None:
        return None

    def clip() -> Video:
        video = read()
        if video.num_frames < native:
            raise UserError(f"{name}: its video has {video.num_frames} frames and its paths {native}")
        pictures = [first_frame.fit(Image.fromarray(video.thwc[i]), *size)[0] for i in chosen]
        return Video.from_thwc(np.stack(pictures), fps, video.info)

    return clip
