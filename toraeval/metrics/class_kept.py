"""Class kept: in how many frames a classifier of photographs still sees what it saw in the first one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from toraeval.metrics.shared.areas import check_video
from toraeval.metrics.shared.frame_features import BACKBONES, FrameFeatures, later_frames
from toraeval.metrics.shared.networks import efficientnet
from toraeval.metrics.shared.paths import NO_VIDEO, definition_of
from toraeval.types import Case, FloatArray, Score, Tracks, UserError, Video


class ClassKept:
    """Share of frames whose most probable ImageNet class is that of the first frame: does the content survive?

        class_kept = mean over cases, frames t of [argmax p(x_t) = argmax p(x_0)]

    Higher is better; 0 to 1. At most `max_frames` frames, evenly spread after frame 0. The column names the
    network (`class_kept_efficientnet_lite0`, 1000 classes at 224x224). `_confidence` is the mean probability of that
    class, which falls earlier than the share. `_reference` is the share of frames whose class is that of the same frame
    of the reference clip, where there is one: a camera that moves on, or objects that cross, change the class in a
    perfect video too, so read every value beside the ground truth's.

    It is a humble stand-in for CLIPSIM on photographs: it does not read the caption, and knows no other things than its
    classes. A frozen video keeps its class in every frame: read `motion_amount` beside it. Clips of one frame are
    recorded skips.

    Source: this project; the network is the one of `fid`.

    Args:
        backbone: `efficientnet_lite0`.
        weights: the user's own weight file; by default the package's.
        max_frames: most frames of a clip.
        device: `cpu` or `cuda`.
        cache: folder in which reference features are kept for all models, or None.

    Raises:
        UserError: an option that cannot be.
    """

    name: ClassVar[str] = "class_kept"
    version: ClassVar[str] = "2"
    direction: ClassVar[str] = "higher"
    units: ClassVar[str] = "share"
    needs_video: ClassVar[bool] = True

    def __init__(
        self,
        backbone: str = efficientnet.NAME,
        weights: str | None = None,
        max_frames: int = 15,
        device: str = "cpu",
        cache: str | None = None,
    ) -> None:
        for option, word, allowed in (("backbone", backbone, BACKBONES), ("device", device, ("cpu", "cuda"))):
            if word not in allowed:
                raise UserError(f"class_kept: {option}={word}; allowed: {', '.join(allowed)}")
        if max_frames < 1:
            raise UserError(f"class_kept: max_frames={max_frames}; allowed: whole numbers >= 1")
        self.backbone, self.max_frames = backbone, max_frames
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
        }

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Score one case; arrays: `class_T` and, with a reference, `reference_class_T`, NaN where not looked at.

        Raises:
            MissingAsset: no weights.
            UserError: the video or the reference does not fit the case.
        """
        if video is None:
            return Score(self.name, self.version, skipped=NO_VIDEO)
        check_video(self.name, case, video)
        if video.num_frames < 2:
            return Score(self.name, self.version, skipped="1 frame: nothing to compare with it")
        chosen = np.concatenate([[0], later_frames(video.num_frames, self.max_frames)])
        chances = self._features.probabilities(self._features(np.asarray(video.frames_TCHW[chosen])))
        classes = chances.argmax(axis=1)
        column = f"class_kept_{self.backbone}"
        values = {
            column: float((classes[1:] == classes[0]).mean()),
            f"{column}_confidence": float(chances[1:, classes[0]].mean()),
        }
        arrays = {"class_T": _spread(chosen, classes, video.num_frames)}
        truth = self._features.of_reference(self.name, case, chosen[1:])
        if truth is not None:
            true_classes = self._features.probabilities(truth).argmax(axis=1)
            values[f"{column}_reference"] = float((classes[1:] == true_classes).mean())
            arrays["reference_class_T"] = _spread(chosen[1:], true_classes, video.num_frames)
        return Score(self.name, self.version, values, arrays)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        column = f"class_kept_{self.backbone}"
        return definition_of(
            self,
            formula="mean_case mean_frame [argmax p(x_t) = argmax p(x_0)]",
            value_range="0 to 1",
            columns={
                column: "share of frames that keep the class of the first frame",
                f"{column}_confidence": "mean probability of that class",
                f"{column}_reference": "share of frames that have the class of the same frame of the reference",
            },
            source=efficientnet.SOURCE,
            pooling="frames of a case, then cases, with equal weight",
            frames=f"at most {self.max_frames}, evenly spread after frame 0 up to the last",
        )


def _spread(chosen: Any, classes: Any, frames: int) -> FloatArray:
    out = np.full(frames, np.nan)
    out[chosen] = classes
    return out
