"""FID: how far generated frames are from reference frames, in the features of a classifier.

Legend of the shape suffixes: T frames, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from toraeval.metrics.shared.areas import check_video
from toraeval.metrics.shared.feature_sets import collect
from toraeval.metrics.shared.frame_features import BACKBONES, FrameFeatures, later_frames
from toraeval.metrics.shared.networks import efficientnet
from toraeval.metrics.shared.paths import NO_VIDEO, definition_of
from toraeval.metrics.shared.reference import NO_REFERENCE
from toraeval.types import Case, FloatArray, Score, Tracks, UserError, Video


class FID:
    """Frechet distance between the frames of the generated clips of a run and those of their reference clips.

        fid = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

    with means m and covariances S of the features of all looked-at frames, generated (1) and reference (2). Lower is
    better; 0 for equal sets; squared units of the features. The column names the network: `fid_efficientnet_lite0`
    (ImageNet classifier, 1280 features at 224x224) has another scale than the usual Inception features and may not be
    compared with published values, nor sets of different numbers of frames with each other, because small sets are
    farther apart. From each clip at most `max_frames` frames, evenly spread after frame 0, are looked at:
    frame 0 is given to image-conditioned models. `_low` and `_high` bound a 95 % interval from resampled cases.

    Blur, noise and foreign content raise it. It is blind to time: shuffled frames give the same value, and a frozen
    video loses only what later frames show anew; read `fvd` and `motion_amount` beside it. Cases without a reference
    clip, clips of one frame and sets below `min_videos` are recorded skips.

    Source: Heusel et al., arXiv 1706.08500, with another network.

    Args:
        backbone: `efficientnet_lite0`.
        weights: the user's own weight file; by default the package's.
        max_frames: most frames of a clip.
        min_videos: fewest videos that give a value, >= 2.
        resamples: draws of the interval, 0 for none.
        device: `cpu` or `cuda`.
        cache: folder in which reference features are kept for all models, or None.

    Raises:
        UserError: an option that cannot be.
    """

    name: ClassVar[str] = "fid"
    version: ClassVar[str] = "2"
    direction: ClassVar[str] = "lower"
    units: ClassVar[str] = "squared feature units"
    needs_video: ClassVar[bool] = True

    def __init__(
        self,
        backbone: str = efficientnet.NAME,
        weights: str | None = None,
        max_frames: int = 15,
        min_videos: int = 8,
        resamples: int = 50,
        device: str = "cpu",
        cache: str | None = None,
    ) -> None:
        for option, value, least in (
            ("max_frames", max_frames, 1),
            ("min_videos", min_videos, 2),
            ("resamples", resamples, 0),
        ):
            if value < least:
                raise UserError(f"fid: {option}={value}; allowed: whole numbers >= {least}")
        for option, word, allowed in (("backbone", backbone, BACKBONES), ("device", device, ("cpu", "cuda"))):
            if word not in allowed:
                raise UserError(f"fid: {option}={word}; allowed: {', '.join(allowed)}")
        self.backbone, self.max_frames = backbone, max_frames
        self.min_videos, self.resamples = min_videos, resamples
        self._features = FrameFeatures(weights, device, cache)

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a value.

        Raises:
            MissingAsset: no weights.
        """
        return {
            "metric": self.name,
            "version": self.version,
            "backbone": self.backbone,
            "weights": self._features.identity,
            "max_frames": self.max_frames,
            "min_videos": self.min_videos,
            "resamples": self.resamples,
        }

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Return the features of one sample: arrays `features` and `reference_features`, float64 (T, D).

        Raises:
            MissingAsset: no weights.
            UserError: the video or the reference does not fit the case.
        """
        if video is None:
            return Score(self.name, self.version, skipped=NO_VIDEO)
        check_video(self.name, case, video)
        if video.num_frames < 2:
            return Score(self.name, self.version, skipped="1 frame: frame 0 is given and does not count")
        chosen = later_frames(video.num_frames, self.max_frames)
        truth = self._features.of_reference(self.name, case, chosen)
        if truth is None:
            return Score(self.name, self.version, skipped=NO_REFERENCE)
        own = self._features(np.asarray(video.frames_TCHW[chosen]))
        return Score(self.name, self.version, {}, {"features": own, "reference_features": truth})

    def pool(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Score:
        """Return distance, interval and counts of a set of samples; the order of the samples does not matter."""
        sets = collect(contributions)
        if sets is None or sets.videos < self.min_videos:
            reason = f"{len(contributions)} videos with features; fid needs {self.min_videos}"
            return Score(self.name, self.version, skipped=reason)
        if sets.samples < 2:
            return Score(self.name, self.version, skipped="a covariance needs 2 frames of each set")
        column = f"fid_{self.backbone}"
        values = {column: sets.frechet()}
        interval = sets.interval(self.resamples)
        if interval is not None:
            values[f"{column}_low"], values[f"{column}_high"] = interval
        values[f"{column}_videos"] = float(sets.videos)
        values[f"{column}_frames"] = float(sets.moments[0].count)
        return Score(self.name, self.version, values)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        column = f"fid_{self.backbone}"
        return definition_of(
            self,
            formula="|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances with divisor N - 1",
            value_range="0 and more",
            main=[column],
            columns={
                column: "Frechet distance of generated and reference frames",
                f"{column}_low": "lower end of the 95 % interval over cases",
                f"{column}_high": "upper end of the 95 % interval over cases",
                f"{column}_videos": "videos that the distance rests on",
                f"{column}_frames": "frames of the generated set",
            },
            source="Heusel et al., arXiv 1706.08500; network: " + efficientnet.SOURCE,
            pooling="one value for the set; never the mean of values of cases",
            frames=f"at most {self.max_frames}, evenly spread after frame 0 up to the last",
            skipped=f"clips of one frame, cases without reference, sets below {self.min_videos} videos",
        )
