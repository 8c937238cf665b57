"""FVD and KVD: how far a set of generated clips is from the set of reference clips, in the features of a video network.

Legend of the shape suffixes: D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from toraeval.metrics.shared.areas import check_video
from toraeval.metrics.shared.feature_cache import cache_file, kept
from toraeval.metrics.shared.feature_sets import collect
from toraeval.metrics.shared.paths import NO_VIDEO, definition_of
from toraeval.metrics.shared.reference import NO_REFERENCE, reference_video
from toraeval.metrics.shared.video_features import RECIPES, video_features
from toraeval.types import Case, FloatArray, Score, Tracks, UserError, Video

VERSION = "3"
PHOTO = "efficientnet_lite0"


class FVD:
    """Frechet video distance between the generated clips of a run and the reference clips of the same cases.

    With means m and covariances S (divisor N - 1) of the features of all generated (1) and reference (2) clips:

        fvd = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

    Lower is better; 0 for equal sets; squared units of the features, so a value has a meaning only beside others of the
    same backbone, clip length and number of videos. A video is cut into clips of 16 consecutive frames that begin every
    `clip_stride` frames (16 by default, so that clips do not overlap); frames left at its end are not looked at. The
    column names the backbone: `fvd_i3d` (Kinetics I3D, the usual one), `fvd_videomae` (content-debiased, reacts more to
    motion), `fvd_shapes` (small network trained on the world `shapes`; says nothing about other videos).

    `fvd_efficientnet_lite0_frame` and `fvd_efficientnet_lite0_time` rest on a classifier of photographs, of 16 frames
    spread evenly over the whole video, first and last included: the mean of the frames' features, and the logarithms of
    how much features change from one of these frames to the next and of their spread (`frame_features.changes`). A
    frozen video is the farthest of all in the temporal part, a slowed one far, however well its frames alone look.

    The distance is biased upward in small sets, the more so the fewer samples per feature: only equal numbers of
    videos may be compared, and fewer than `min_videos` give a recorded skip. `_low` and `_high` bound a 95 % interval
    from 8 or more resampled cases; `_inf` (option `extrapolate`) is a straight line in 1/N, read at infinity, only
    where subsets have more samples than features. `kvd` is the kernel distance of the same features: no bias in N, so
    below 0 where two sets are closer than two independent draws would be, as the ground truth against itself.

    Anything that changes the features raises the value: blur, noise, shuffled, frozen or smeared frames, lost objects.
    Noise that disappears when frames are made small hardly does, and `kvd` may not see weak blur or noise at all.

    A frozen or smeared video moves the features away from the reference, but content outweighs motion in `i3d`: read
    `motion_amount` beside it. The ground truth scores exactly 0, because generated and reference clips are the same.

    Source: Unterthiner et al., arXiv 1812.01717; recipe of each backbone in `toraeval.metrics.shared.video_features`.

    Args:
        backbone: `shapes`, `efficientnet_lite0`, `i3d`, `videomae`, or `random` for tests.
        weights: the user's own weight file; by default the shipped or fetched one.
        clip_stride: frames from the start of one clip to that of the next.
        min_videos: fewest videos that give a value, >= 2.
        resamples: draws of the interval, 0 for none.
        extrapolate: also give the value at infinite size.
        device: `cpu` or `cuda`.
        cache: folder in which reference features are kept for all models, or None.

    Raises:
        UserError: an option that cannot be.
    """

    name: ClassVar[str] = "fvd"
    version: ClassVar[str] = VERSION
    direction: ClassVar[str] = "lower"
    units: ClassVar[str] = "squared feature units"
    needs_video: ClassVar[bool] = True

    def __init__(
        self,
        backbone: str = "shapes",
        weights: str | None = None,
        clip_stride: int = 16,
        min_videos: int = 8,
        resamples: int = 200,
        extrapolate: bool = False,
        device: str = "cpu",
        cache: str | None = None,
    ) -> None:
        for option, value, least in (
            ("clip_stride", clip_stride, 1),
            ("min_videos", min_videos, 2),
            ("resamples", resamples, 0),
        ):
            if value < least:
                raise UserError(f"fvd: {option}={value}; allowed: whole numbers >= {least}")
        if backbone == PHOTO and clip_stride != 16:
            raise UserError(
                f"fvd: clip_stride={clip_stride}; backbone {PHOTO} takes one clip of a whole video and has no stride"
            )
        self._features = video_features(backbone, weights, device)
        self.backbone, self.clip_stride, self.min_videos = backbone, clip_stride, min_videos
        self.resamples, self.extrapolate = resamples, extrapolate
        self.cache = Path(cache) if cache else None

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a value."""
        return {
            "metric": self.name,
            "version": self.version,
            **self._features.fingerprint(),
            "clip_stride": self.clip_stride,
            "min_videos": self.min_videos,
            "resamples": self.resamples,
            "extrapolate": self.extrapolate,
        }

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Return the features of one sample: arrays `features` and `reference_features`, float64 (clips, D).

        Raises:
            MissingAsset: the backbone has no weights.
            UserError: the video or the reference does not fit the case.
        """
        if video is None:
            return self._skip(NO_VIDEO)
        check_video(self.name, case, video)
        if case.reference is None:
            return self._skip(NO_REFERENCE)
        needed = self._features.recipe.frames
        if video.num_frames < needed:
            return self._skip(f"{video.num_frames} frames, a clip of backbone {self.backbone} has {needed}")
        features = self._features(video.frames_TCHW, self.clip_stride)
        arrays = {"features": features, "reference_features": self._reference(case)}
        return Score(self.name, self.version, {}, arrays)

    def _skip(self, reason: str) -> Score:
        return Score(self.name, self.version, skipped=reason)

    def _reference(self, case: Case) -> FloatArray:
        """Return the features of the reference clip, from the cache where they are there and whole."""
        identity = (self._features.fingerprint(), self.clip_stride)

        def make() -> FloatArray:
            reference = reference_video(self.name, case)
            assert reference is not None
            return self._features(reference.frames_TCHW, self.clip_stride)

        return kept(cache_file(self.cache, case, identity), make)

    def pool(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Score:
        """Return distance, interval and counts of a set of samples; the order of the samples does not matter.

        Several seeds of one case share its reference, which then counts once; the interval draws whole cases.
        """
        videos = len(contributions)
        values: dict[str, float] = {}
        clips = 0
        for suffix, part in self._features.parts.items():
            column = f"fvd_{self.backbone}{suffix}"
            sets = collect(contributions, part)
            if sets is None or videos < self.min_videos:
                return self._skip(
                    f"{videos} videos with features; backbone {self.backbone} needs {self.min_videos}"
                )
            if sets.samples < 2:
                return self._skip(
                    "a covariance needs 2 clips of each set: all cases share one reference clip"
                )
            values[column] = sets.frechet()
            values[f"kvd_{self.backbone}{suffix}"] = sets.kernel()
            interval = sets.interval(self.resamples)
            if interval is not None:
                values[f"{column}_low"], values[f"{column}_high"] = interval
            beyond = sets.extrapolated() if self.extrapolate else None
            if beyond is not None:
                values[f"{column}_inf"] = beyond
            clips = sets.moments[0].count
        values[f"fvd_{self.backbone}_videos"] = float(videos)
        values[f"fvd_{self.backbone}_clips"] = float(clips)
        return Score(self.name, self.version, values)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        recipe, parts = RECIPES[self.backbone], self._features.parts
        columns = {
            name: words for suffix in parts for name, words in _columns(self.backbone, suffix).items()
        } | {
            f"fvd_{self.backbone}_videos": "videos that the distance rests on",
            f"fvd_{self.backbone}_clips": "clips of the generated set",
        }
        return definition_of(
            self,
            formula="|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances with divisor N - 1",
            value_range="0 and more; kvd also below 0",
            main=[f"fvd_{self.backbone}{suffix}" for suffix in parts],
            columns=columns,
            source="Unterthiner et al., arXiv 1812.01717; backbone: " + recipe.source,
            pooling="one value for the set; never the mean of values of cases",
            features={"backbone": self.backbone, "recipe": asdict(recipe)},
            clips=self._features.clips_rule.format(recipe.frames, self.clip_stride),
            skipped=f"videos shorter than {recipe.frames} frames, cases without reference, sets below "
            f"{self.min_videos} videos",
        )


_PARTS = {"": "", "_frame": ", what the frames show", "_time": ", how they change over time"}


def _columns(backbone: str, suffix: str) -> dict[str, str]:
    column, part = f"fvd_{backbone}{suffix}", _PARTS[suffix]
    return {
        column: f"Frechet distance of generated and reference clips{part}",
        f"kvd_{backbone}{suffix}": "kernel distance (cubic polynomial kernel, no bias in N) of the same features",
        f"{column}_low": "lower end of the 95 % interval over cases",
        f"{column}_high": "upper end of the 95 % interval over cases",
        f"{column}_inf": "extrapolated to infinitely many videos",
    }
