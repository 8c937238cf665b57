"""Kinds of metrics: what those of the tracked paths, of the look of the object, and of the pictures have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from toraeval.metrics.shared.areas import check_video
from toraeval.metrics.shared.paths import NO_VIDEO, Paths, known, scored_paths
from toraeval.metrics.shared.reference import ComparedFrames, compared_frames
from toraeval.types import ByteArray, Case, FloatArray, Score, Tracks, UserError, Video

Found = tuple[dict[str, float], dict[str, FloatArray]] | str
"""Values (NaN = could not be computed) and arrays of one case, or the reason why there are none."""


class _Named(ABC):
    name: ClassVar[str]
    version: ClassVar[str]
    direction: ClassVar[str]
    units: ClassVar[str]

    def _scored(self, found: Found) -> Score:
        if isinstance(found, str):
            return Score(self.name, self.version, skipped=found)
        values, arrays = found
        return Score(self.name, self.version, known(values), arrays)


class PathMetric(_Named):
    """A metric of the tracked paths alone."""

    def score(self, case: Case, tracks: Tracks | None, video: Video | None = None) -> Score:
        """Score the tracks of one case; `measure` says which arrays stand beside the values.

        Raises:
            UserError: the tracks do not fit the case or hold a number that is not finite.
        """
        paths = scored_paths(self.name, case, tracks)
        return self._scored(paths if isinstance(paths, str) else self.measure(case, paths))

    @abstractmethod
    def measure(self, case: Case, paths: Paths) -> Found:
        """Return the values and arrays of paths of which at least one point counts."""


class LookMetric(_Named):
    """A metric of the frames near the paths."""

    needs_video: ClassVar[bool] = True

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Score one case; `measure` says which arrays stand beside the values.

        Raises:
            UserError: tracks or video do not fit the case.
        """
        paths = scored_paths(self.name, case, tracks)
        if isinstance(paths, str) or video is None:
            return self._scored(paths if isinstance(paths, str) else NO_VIDEO)
        check_video(self.name, case, video)
        return self._scored(self.measure(case, paths, video))

    @abstractmethod
    def measure(self, case: Case, paths: Paths, video: Video) -> Found:
        """Return the values and arrays of a clip that fits its case."""


class PictureMetric(_Named):
    """A metric of single frames against those of the reference clip.

    Args:
        max_frames: most frames that are compared.

    Raises:
        UserError: `max_frames` below 1.
    """

    needs_video: ClassVar[bool] = True

    def __init__(self, max_frames: int = 16) -> None:
        if max_frames < 1:
            raise UserError(f"{self.name}: max_frames={max_frames}; allowed: whole numbers >= 1")
        self.max_frames = max_frames

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a value."""
        return {"metric": self.name, "version": self.version, "max_frames": self.max_frames}

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Score one case; arrays: `<name>_T`, NaN for frames that are not compared.

        Raises:
            UserError: the video or the reference does not fit the case.
        """
        frames = compared_frames(self.name, case, video, self.max_frames)
        if not isinstance(frames, ComparedFrames):
            return self._scored(frames)
        found_T = frames.per_frame(self.compare)
        return self._scored(({self.name: float(np.nanmean(found_T))}, {f"{self.name}_T": found_T}))

    @abstractmethod
    def compare(self, frame_HWC: ByteArray, truth_HWC: ByteArray) -> float:
        """Return the value of one pair of uint8 frames."""
