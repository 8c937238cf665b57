"""The reference clip of a case, and which of its frames are compared with the generated ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from toraeval.metrics.shared.areas import check_video
from toraeval.metrics.shared.paths import NO_VIDEO
from toraeval.types import ByteArray, Case, FloatArray, Reference, Video

NO_REFERENCE = "the case has no reference video to compare with"
FRAMES_RULE = "at most {}, evenly spread over frames 1 to the last"


def spread_frames(first: int, frames: int, at_most: int) -> npt.NDArray[np.int64]:
    """Return at most so many frame numbers from `first` to the last one, evenly spread, both ends included."""
    return np.unique(np.rint(np.linspace(first, frames - 1, min(at_most, frames - first))).astype(np.int64))


def reference_video(metric: str, case: Case) -> Video | None:
    """Return the reference clip of a case, or None where the suite has none.

    Raises:
        UserError: it has another length or size than the case.
    """
    if case.reference is None:
        return None
    video = case.reference().video
    check_video(metric, case, video)
    return video


def share_reference(case: Case) -> Case:
    """Return the case with a ground truth that is rendered at most once, however many metrics ask for it.

    Keep it no longer than one sample is scored: it holds a whole clip.
    """
    render = case.reference
    if render is None:
        return case

    @functools.cache
    def rendered() -> Reference:
        found = render()
        return found if found.masks is None else replace(found, masks=functools.cache(found.masks))

    return replace(case, reference=rendered)


@dataclass(frozen=True)
class ComparedFrames:
    """Frames of a clip and of its reference that are compared.

    Attributes:
        video, reference: both clips.
        chosen: numbers of the compared frames.
    """

    video: Video
    reference: Video
    chosen: npt.NDArray[np.int64]

    def per_frame(self, compare: Callable[[ByteArray, ByteArray], float]) -> FloatArray:
        """Return `compare` of the contiguous uint8 (H, W, 3) frames of each pair, NaN where none is compared."""
        found = np.full(self.video.num_frames, np.nan)
        for t in self.chosen:
            pair = (np.ascontiguousarray(clip.thwc[t]) for clip in (self.video, self.reference))
            found[t] = compare(*pair)
        return found


def compared_frames(metric: str, case: Case, video: Video | None, at_most: int) -> ComparedFrames | str:
    """Return the frames to compare, or the reason why there are none.

    Frame 0 is left out, because image-conditioned models are given it.

    Raises:
        UserError: the video or the reference does not fit the case.
    """
    if video is None:
        return NO_VIDEO
    check_video(metric, case, video)
    if video.num_frames < 2:
        return "1 frame: frame 0 is given and does not count"
    reference = reference_video(metric, case)
    if reference is None:
        return NO_REFERENCE
    return ComparedFrames(video, reference, spread_frames(1, video.num_frames, at_most))
