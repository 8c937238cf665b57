"""FVD and KVD: how far generated clips are from reference clips, in the features of a video network."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from toraeval.metrics.shared.base import BACKBONE, Found
from toraeval.metrics.shared.expectations import PHOTO_FRAMES, above
from toraeval.metrics.shared.feature_sets import FeatureSetMetric, FeatureSets
from toraeval.metrics.shared.networks import efficientnet
from toraeval.metrics.shared.reference import reference_features
from toraeval.metrics.shared.set_distances import at_infinite_size, kernel_distance
from toraeval.metrics.shared.video_features import RECIPES, PhotoVideoFeatures, VideoFeatures
from toraeval.types import Case, FloatArray, UserError, Video, counted

KERNEL = above("shuffled", "frozen", "smeared", "vanished")
PARTS = {"": "", "_frame": ", what the frames show", "_time": ", how they change over time"}


class FVD(FeatureSetMetric):
    """Frechet video distance between the generated clips of a run and the reference clips of the same cases.

    With means m and covariances S (divisor N - 1) of the features of all generated (1) and reference (2) clips:

        fvd = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

    Lower is better; 0 for equal sets; squared units of the features, so a value has a meaning only beside others of the
    same backbone, clip length and number of videos. A video is cut into clips of 16 consecutive frames that begin every
    `clip_stride` frames (16 by default, so that clips do not overlap); frames left at its end are not looked at. The
    column names the backbone: `fvd_i3d` (Kinetics I3D, the usual one), `fvd_videomae` (content-debiased, reacts more to
    motion), `fvd_shapes` (small network trained on the world `shapes`; says nothing about other videos, and ranks a
    frozen video best at 64 and 128 frames: `bench` and `run` take `efficientnet_lite0`).

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

    name = "fvd"
    version = "3"
    direction = "lower"
    units = "squared feature units"
    value_range = "0 and more; kvd also below 0"
    columns = {
        f"fvd_{BACKBONE}": "Frechet distance of generated and reference clips",
        f"kvd_{BACKBONE}": "kernel distance (cubic polynomial kernel, no bias in N) of the same features",
        f"fvd_{BACKBONE}_low": "lower end of the 95 % interval over cases",
        f"fvd_{BACKBONE}_high": "upper end of the 95 % interval over cases",
        f"fvd_{BACKBONE}_inf": "extrapolated to infinitely many videos",
        f"fvd_{BACKBONE}_videos": "videos that the distance rests on",
        f"fvd_{BACKBONE}_clips": "clips of the generated set",
    }
    source = "Unterthiner et al., arXiv 1812.01717"
    expected = {
        f"fvd_{BACKBONE}": (*KERNEL, *above("blurred", "noise")),
        f"kvd_{BACKBONE}": KERNEL,
        f"fvd_{BACKBONE}_frame": PHOTO_FRAMES,
        f"fvd_{BACKBONE}_time": above(
            "shuffled < frozen", "lag_4 < frozen", "blurred < frozen", "noise < frozen", "smeared < frozen"
        ),
    }
    backbones = tuple(RECIPES)
    keyed: tuple[str, ...] = (
        "backbone", "recipe", "weights", "clip_stride", "min_videos", "resamples", "extrapolate",
    )  # fmt: skip
    one_frame = ""
    clip_stride: int
    extrapolate: bool
    counted = "clips"
    too_few = "a covariance needs 2 clips of each set: all cases share one reference clip"

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
        self.take(clip_stride=clip_stride, min_videos=min_videos, resamples=resamples)
        if backbone == efficientnet.NAME and clip_stride != 16:
            raise UserError(
                f"{self.name}: clip_stride={clip_stride}; backbone {backbone} takes one clip of a whole video and "
                "has no stride"
            )
        self.take(backbone=backbone, device=device, extrapolate=extrapolate, cache=cache)
        kind = PhotoVideoFeatures if backbone == efficientnet.NAME else VideoFeatures
        self._features = kind(backbone, weights, device)
        self.recipe = self._features.recipe
        self.divide(self._features.parts, PARTS)
        self.source = f"{type(self).source}; backbone: {self.recipe.source}"
        self.details = {
            "features": {"backbone": backbone, "recipe": asdict(self.recipe)},
            "clips": self._features.clips_rule.format(self.recipe.frames, clip_stride),
            "skipped": f"videos shorter than {self.recipe.frames} frames, cases without reference, sets below "
            f"{min_videos} videos",
        }

    @property
    def weights(self) -> Any:
        return self._features.weights

    def measure(self, case: Case, video: Video) -> Found:
        """Return no value and the arrays `features` and `reference_features`, float64 (clips, features)."""
        needed = self.recipe.frames
        if video.num_frames < needed:
            return f"{counted(video.num_frames, 'frame')}, a clip of backbone {self.backbone} has {needed}"

        own = self._features(video, self.clip_stride)

        def features() -> FloatArray:
            return self._features.of_reference(self.name, case, self.clip_stride, video, own)

        known = self.fingerprint()
        identity = (({name: known[name] for name in ("backbone", "recipe", "weights")}, self.clip_stride),)
        truth = reference_features(case, self.cache, identity, features)
        return {}, {"features": own, "reference_features": truth}

    def distances(self, suffix: str, sets: FeatureSets) -> dict[str, float]:
        """Return the distances of one part of the features, the Frechet one with its interval."""
        column, *bounds = (found := super().distances(suffix, sets))
        beyond = at_infinite_size(sets.generated, sets.reference) if self.extrapolate else None
        kernel = kernel_distance(np.concatenate(sets.generated), np.concatenate(sets.reference))
        return {
            column: found[column],
            f"kvd_{self.backbone}{suffix}": kernel,
            **{bound: found[bound] for bound in bounds},
            f"{column}_inf": math.nan if beyond is None else beyond,
        }
