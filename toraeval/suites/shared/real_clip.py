"""Real clips and first frames of cases on the disk, decoded when they are asked for.

Shape legend: N objects, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from toraeval import geometry
from toraeval.suites.shared import first_frame
from toraeval.types import BoolArray, ByteArray, Case, UserError, Video, counted


def shared_frames(native: int, frames: int) -> npt.NDArray[np.int64] | None:
    """Return which frames of a clip of `native` are those of a case of `frames`, or None where they do not meet.

    Paths are brought to a length evenly, so that only a whole number of frames per step falls on real frames.
    """
    if frames < 2 or (native - 1) % (frames - 1):
        return None
    return np.arange(frames) * ((native - 1) // (frames - 1))


def fitted(
    read: Callable[[], Video],
    name: str,
    native: int,
    frames: int,
    fps: float,
    size: tuple[int, int],
    squeeze: bool = False,
) -> Callable[[], Video] | None:
    """Return what reads a clip as a case has it, or None where its frames do not fall on the case's.

    Args:
        read: decodes it.
        name: for messages.
        native: frames it must have.
        frames, fps, size: of the case; size is `(width, height)`, covered and cropped as first frames are.
        squeeze: resize both sides to it instead.
    """
    chosen = shared_frames(native, frames)
    if chosen is None:
        return None

    def clip() -> Video:
        video = read()
        if video.num_frames != native:
            raise UserError(
                f"{name}: its video has {counted(video.num_frames, 'frame')} and its paths {native}"
            )
        pictures = [first_frame.fit(Image.fromarray(video.thwc[i]), *size, squeeze)[0] for i in chosen]
        return Video.from_thwc(np.stack(pictures), fps, video.info)

    return clip


def fit_masks(masks_NTHW: BoolArray, plan: geometry.CoverCrop) -> BoolArray:
    left, top, right, bottom = plan.box
    flat = masks_NTHW.reshape(-1, *masks_NTHW.shape[2:]).astype(np.uint8)
    resized = [cv2.resize(mask, plan.scaled, interpolation=cv2.INTER_NEAREST) for mask in flat]
    cropped = np.stack(resized)[:, top:bottom, left:right].astype(bool)
    return cropped.reshape(*masks_NTHW.shape[:2], *cropped.shape[1:])


class _Decoded:
    """Stands in a class for an attribute that is decoded at every use, so that a thousand cases hold no pictures."""

    def __get__(self, case: CaseOnDisk | None, owner: type) -> ByteArray | None:
        return None if case is None else case.__dict__["decode"]()


class CaseOnDisk(Case):
    """A case whose first frame is decoded when it is asked for."""

    first_frame_HWC = _Decoded()  # type: ignore[assignment]


def on_disk(case: Case, decode: Callable[[], ByteArray]) -> Case:
    """Return the case with a first frame that `decode` gives when it is asked for."""
    lazy = CaseOnDisk(**{name: value for name, value in vars(case).items() if name != "first_frame_HWC"})
    del lazy.__dict__["first_frame_HWC"]  # the class's descriptor answers instead
    lazy.__dict__["decode"] = decode
    return lazy
