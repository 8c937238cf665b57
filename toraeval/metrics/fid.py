"""FID: how far generated frames are from reference frames, in the features of a classifier."""

from __future__ import annotations

from typing import Any

from toraeval.metrics.shared.base import BACKBONE, Found
from toraeval.metrics.shared.expectations import PHOTO_FRAMES
from toraeval.metrics.shared.feature_sets import FeatureSetMetric
from toraeval.metrics.shared.frame_features import BACKBONES, LATER_RULE, FrameFeatures, later_frames
from toraeval.metrics.shared.networks import efficientnet
from toraeval.types import Case, Video


class FID(FeatureSetMetric):
    """Frechet distance between the frames of the generated clips of a run and those of their reference clips.

        fid = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

    with means m and covariances S of the features of all looked-at frames, generated (1) and reference (2). Lower is
    better; 0 for equal sets; squared units of the features. The column names the network: `fid_efficientnet_lite0`
    (ImageNet classifier, 1280 features at 224x224) has another scale than the usual Inception features and may not be
    compared with published values, nor sets of different numbers of frames with each other, because small sets are
    farther apart. From each clip at most `max_frames` frames, evenly spread after frame 0, are looked at:
    frame 0 is given to image-conditioned models. `_low` and `_high` bound a 95 % interval from resampled cases.

    Blur, noise and foreign content raise it. It is blind to time: shuffled frames give the same value, and a frozen
    video loses only what later frames show again; read `fvd` and `motion_amount` beside it. Cases without a reference
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

    name = "fid"
    version = "2"
    direction = "lower"
    units = "squared feature units"
    value_range = "0 and more"
    main = (f"fid_{BACKBONE}",)
    details = {
        "frames": LATER_RULE,
        "skipped": "clips of one frame, cases without reference, sets below {min_videos} videos",
    }
    columns = {
        f"fid_{BACKBONE}": "Frechet distance of generated and reference frames",
        f"fid_{BACKBONE}_low": "lower end of the 95 % interval over cases",
        f"fid_{BACKBONE}_high": "upper end of the 95 % interval over cases",
        f"fid_{BACKBONE}_videos": "videos that the distance rests on",
        f"fid_{BACKBONE}_frames": "frames of the generated set",
    }
    source = "Heusel et al., arXiv 1706.08500; network: " + efficientnet.SOURCE
    expected = {f"fid_{BACKBONE}": PHOTO_FRAMES}
    backbones = BACKBONES
    keyed = ("backbone", "weights", "max_frames", "min_videos", "resamples")
    counted = "frames"
    too_few = "a covariance needs 2 frames of each set"

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
        self.take(
            backbone=backbone,
            max_frames=max_frames,
            min_videos=min_videos,
            resamples=resamples,
            device=device,
            cache=cache,
        )
        self._features = FrameFeatures(weights, device)

    @property
    def weights(self) -> Any:
        return self._features.identity

    def measure(self, case: Case, video: Video) -> Found:
        """Return no value and the arrays `features` and `reference_features`, float64 (frames, features)."""
        chosen = later_frames(video.num_frames, self.max_frames)
        truth = self._features.of_reference(self.name, case, chosen, self.cache)
        return {}, {"features": self._features.of_frames(video, chosen), "reference_features": truth}
