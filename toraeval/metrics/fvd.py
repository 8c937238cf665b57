"""FVD and KVD: how far a set of generated clips is from the set of reference clips, in the features of a video network.

Legend of the shape suffixes: D features.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toraeval.keys import digest
from toraeval.metrics.areas import check_video
from toraeval.metrics.frechet import Moments, at_infinite_size, bootstrap_interval, frechet_distance
from toraeval.metrics.kernel_distance import kernel_distance
from toraeval.metrics.paths import NO_VIDEO, definition_of
from toraeval.metrics.reference import NO_REFERENCE, reference_video
from toraeval.metrics.video_features import RECIPES, VideoFeatures
from toraeval.store import atomic
from toraeval.types import Case, FloatArray, Score, Tracks, UserError, Video

VERSION = "1"


class FVD:
    """Frechet video distance between the generated clips of a run and the reference clips of the same cases.

    With means m and covariances S (divisor N - 1) of the features of all generated (1) and reference (2) clips:

        fvd = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

    Lower is better; 0 for equal sets; squared units of the features, so a value has a meaning only beside others of the
    same backbone, clip length and number of videos. A video is cut into clips of 16 consecutive frames that begin every
    `clip_stride` frames (16 by default, so that clips do not overlap); frames left at its end are not looked at. The
    column names the backbone: `fvd_i3d` (Kinetics I3D, the usual one), `fvd_videomae` (content-debiased, reacts more to
    motion), `fvd_shapes` (small network trained on the world `shapes`; says nothing about other videos).

    The distance is biased upward in small sets, the more so the fewer samples per feature: only equal numbers of
    videos may be compared, and fewer than `min_videos` give a recorded skip. `_low` and `_high` bound a 95 % interval
    from resampled cases; `_inf` (option `extrapolate`) is a straight line in 1/N, read at infinity, only where subsets
    have more samples than features. `kvd` is the kernel distance of the same features: no bias in N, so below 0 where
    two sets are closer than two independent draws would be, as the ground truth against itself.

    Anything that changes the features raises the value: blur, noise, shuffled, frozen or smeared frames, lost objects.
    Noise that disappears when frames are made small hardly does, and `kvd` may not see weak blur or noise at all.

    A frozen or smeared video moves the features away from the reference, but content outweighs motion in `i3d`: read
    `motion_amount` beside it. The ground truth scores exactly 0, because generated and reference clips are the same.

    Source: Unterthiner et al., arXiv 1812.01717; recipe of each backbone in `toraeval.metrics.video_features`.

    Args:
        backbone: `shapes`, `i3d`, `videomae`, or `random` for tests.
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
        self._features = VideoFeatures(backbone, weights, device)
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
        file = None
        if self.cache is not None and case.content_hash:
            identity = (self._features.fingerprint(), self.clip_stride)
            key = digest("reference", identity, case.content_hash, case.frames, case.height, case.width)
            file = self.cache / f"{key[:32]}.npy"
            known = _stored(file)
            if known is not None:
                return known
        reference = reference_video(self.name, case)
        assert reference is not None
        features = self._features(reference.frames_TCHW, self.clip_stride)
        if file is not None:
            atomic(file, lambda temporary: _save(temporary, features))
        return features

    def pool(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Score:
        """Return distance, interval and counts of a set of samples; the order of the samples does not matter.

        Several seeds of one case share its reference, which then counts once; the interval draws whole cases.
        """
        column, kernel = f"fvd_{self.backbone}", f"kvd_{self.backbone}"
        generated: list[list[FloatArray]] = []
        reference: dict[bytes, FloatArray] = {}
        places: dict[bytes, int] = {}
        moments: tuple[Moments, Moments] | None = None
        for sample in sorted(contributions):
            arrays = contributions[sample]
            own, truth = arrays["features"], arrays["reference_features"]
            moments = moments or (Moments(own.shape[1]), Moments(truth.shape[1]))
            moments[0].add(own)
            key = truth.tobytes()
            if key not in places:
                places[key] = len(generated)
                generated.append([])
                reference[key] = truth
                moments[1].add(truth)
            generated[places[key]].append(own)
        videos = len(contributions)
        if moments is None or videos < self.min_videos:
            return self._skip(
                f"{videos} videos with features; backbone {self.backbone} needs {self.min_videos}"
            )
        if min(m.count for m in moments) < 2:
            return self._skip("a covariance needs 2 clips of each set: all cases share one reference clip")
        values = {column: frechet_distance(*moments)}
        pieces = [np.concatenate(own) for own in generated]
        truths = list(reference.values())
        values[kernel] = kernel_distance(np.concatenate(pieces), np.concatenate(truths))
        if self.resamples > 1 and len(pieces) > 1:
            values[f"{column}_low"], values[f"{column}_high"] = bootstrap_interval(
                pieces, truths, self.resamples
            )
        beyond = at_infinite_size(pieces, truths) if self.extrapolate else None
        if beyond is not None:
            values[f"{column}_inf"] = beyond
        values[f"{column}_videos"] = float(videos)
        values[f"{column}_clips"] = float(moments[0].count)
        return Score(self.name, self.version, values)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        column, recipe = f"fvd_{self.backbone}", RECIPES[self.backbone]
        return definition_of(
            self,
            formula="|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances with divisor N - 1",
            value_range="0 and more; kvd also below 0",
            columns={
                column: "Frechet distance of generated and reference clips",
                f"kvd_{self.backbone}": "kernel distance (cubic polynomial kernel, no bias in N) of the same features",
                f"{column}_low": "lower end of the 95 % interval over cases",
                f"{column}_high": "upper end of the 95 % interval over cases",
                f"{column}_inf": "extrapolated to infinitely many videos",
                f"{column}_videos": "videos that the distance rests on",
                f"{column}_clips": "clips of the generated set",
            },
            source="Unterthiner et al., arXiv 1812.01717; backbone: " + recipe.source,
            pooling="one value for the set; never the mean of values of cases",
            features={"backbone": self.backbone, "recipe": asdict(recipe)},
            clips=f"{recipe.frames} consecutive frames, one every {self.clip_stride} frames, rest left out",
            skipped=f"videos shorter than {recipe.frames} frames, cases without reference, sets below "
            f"{self.min_videos} videos",
        )


def _save(file: Path, features: FloatArray) -> None:
    with file.open("wb") as handle:
        np.save(handle, features)


def _stored(file: Path) -> FloatArray | None:
    try:
        with file.open("rb") as handle:
            features = np.load(handle, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # an unreadable file is a missing one: it is made again
    whole = features.ndim == 2 and features.dtype == np.float64 and bool(np.isfinite(features).all())
    return features if whole else None
