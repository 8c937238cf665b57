"""The reference clip of a case, and what the metrics of frames share, with or without it."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toraeval.metrics.shared.base import NO_VIDEO, Found, Metric, check_video
from toraeval.store.keys import digest
from toraeval.store.sealed import read_arrays, write_arrays
from toraeval.types import ByteArray, Case, FloatArray, Reference, Tracks, Video

NO_REFERENCE = "the case has no reference video to compare with"
Numbers = npt.NDArray[np.int64]


def spread_frames(first: int, frames: int, at_most: int) -> Numbers:
    """Return at most `at_most` frame numbers from `first` to the last one, evenly spread, both ends included."""
    return np.unique(np.rint(np.linspace(first, frames - 1, min(at_most, frames - first))).astype(np.int64))


def over_clip(frames: int, chosen_K: Numbers, values_K: npt.ArrayLike) -> FloatArray:
    """Return the values of the chosen frames at their places, float64 (`frames`,), NaN elsewhere."""
    found_T = np.full(frames, np.nan)
    found_T[chosen_K] = values_K
    return found_T


def reference_video(metric: str, case: Case) -> Video:
    """Return the reference clip of a case that has one.

    Raises:
        UserError: it has another length or size than the case.
    """
    assert case.reference is not None
    video = case.reference().video
    check_video(metric, case, video)
    return video


def reference_frames(metric: str, case: Case, chosen_K: Numbers) -> ByteArray:
    """Return uint8 (K, H, W, C), the chosen frames of the reference clip of a case that has one.

    Raises:
        UserError: the clip has another length or size than the case.
    """
    if case.reference_frames is None:
        return reference_video(metric, case).thwc[chosen_K]
    return case.reference_frames(chosen_K)


def share_reference(case: Case) -> Case:
    """Return the case with a ground truth that is rendered at most once, whoever asks for it.

    Keep it no longer than one sample is worked on: it holds a whole clip, or the frames that were asked for last.
    """
    render, some = case.reference, case.reference_frames
    if render is None:
        return case

    @functools.cache
    def rendered() -> Reference:
        found = render()
        return found if found.masks is None else replace(found, masks=functools.cache(found.masks))

    latest: tuple[list[int], ByteArray] = [], np.empty((0, case.height, case.width, 3), np.uint8)

    def frames(chosen_K: Numbers) -> ByteArray:
        nonlocal latest
        assert some is not None
        if rendered.cache_info().currsize:
            return rendered().video.thwc[chosen_K]
        chosen, (known, pictures) = list(map(int, chosen_K)), latest
        if chosen != known:
            fresh = [t for t in chosen if t not in known]
            both = np.concatenate([pictures, some(np.array(fresh))]) if fresh else pictures
            latest = chosen, both[list(map([*known, *fresh].index, chosen))]
        return latest[1]

    return replace(case, reference=rendered, reference_frames=None if some is None else frames)


class FrameMetric(Metric):
    """A metric of the frames, whatever the paths.

    Attributes:
        needs_reference: whether cases without a reference clip are skipped.
        one_frame: why a clip of one frame is skipped, empty where it is not.
    """

    needs_video = True
    needs_reference = False
    one_frame = "1 frame: frame 0 is given and does not count"
    pooling = "frames of a case, then cases, with equal weight"
    max_frames: int
    device: str

    @property
    def weights(self) -> Any:
        """What identifies the weights of the network, None without one.

        Raises:
            MissingAsset: no weights.
        """
        return None

    def examine(self, case: Case, tracks: Tracks | None, video: Video | None) -> Found:
        """Return what `measure` makes of a clip that fits its case, or the reason why there is nothing to look at."""
        if video is None:
            return NO_VIDEO
        check_video(self.name, case, video)
        if self.one_frame and video.num_frames < 2:
            return self.one_frame
        if self.needs_reference and case.reference is None:
            return case.no_reference or NO_REFERENCE
        return self.measure(case, video)

    @abstractmethod
    def measure(self, case: Case, video: Video) -> Found:
        """Return the values and arrays of a clip that fits its case."""


class ComparedMetric(FrameMetric):
    """A metric of single frames against those of the reference clip; arrays: `<name>_T`, NaN where none is compared.

    Frame 0 is left out, because image-conditioned models are given it.

    Args:
        max_frames: most frames that are compared.

    Raises:
        UserError: `max_frames` below 1.
    """

    needs_reference = True
    details = {"frames": "at most {max_frames}, evenly spread over frames 1 to the last"}
    keyed: tuple[str, ...] = ("max_frames",)

    def __init__(self, max_frames: int = 16) -> None:
        self.take(max_frames=max_frames)

    def measure(self, case: Case, video: Video) -> Found:
        """Return the mean over the compared frames."""
        chosen = spread_frames(1, video.num_frames, self.max_frames)
        found_K = self.compare(video, chosen, reference_frames(self.name, case, chosen))
        found_T = over_clip(video.num_frames, chosen, found_K)
        column = self.named(next(iter(self.columns)))
        return {column: self.mean(found_T, chosen)}, {f"{self.name}_T": found_T}

    @abstractmethod
    def compare(self, video: Video, chosen_K: Numbers, truth_KHWC: ByteArray) -> FloatArray:
        """Return the value (K,) of each chosen frame."""

    def mean(self, found_T: FloatArray, chosen_K: Numbers) -> float:
        """Return the mean over the compared frames."""
        return float(np.nanmean(found_T))


def each_pair(
    compare: Callable[[ByteArray, ByteArray], float], video: Video, chosen_K: Numbers, truth_KHWC: ByteArray
) -> FloatArray:
    """Return `compare` of the contiguous uint8 (H, W, 3) frames of each pair, float64 (K,)."""
    own = (video.thwc[t] for t in chosen_K)
    return np.array([compare(*map(np.ascontiguousarray, pair)) for pair in zip(own, truth_KHWC, strict=True)])


def reference_features(
    case: Case, cache: Path | None, identity: tuple[Any, ...], features: Callable[[], FloatArray]
) -> FloatArray:
    """Return float64 (N, D) features of a case's reference clip, from their file where it is there and whole.

    Args:
        case: has a reference.
        cache: folder of the files, or None; a case without a hash has no file either.
        identity: JSON-able data that changes whenever the features do.
        features: computes them.
    """
    file = None
    if cache is not None and case.content_hash:
        key = digest("reference", *identity, case.content_hash, case.frames, case.height, case.width)
        file = cache / f"{key[:32]}.npz"
        known = read_arrays(file)
        if known is not None:
            return known["features"]
    found = features()
    if file is not None:
        write_arrays(file, {"features": found})
    return found
