"""Class kept: in how many frames a classifier of photographs still sees what it saw in the first one."""

from __future__ import annotations

from typing import Any

import numpy as np

from toraeval.metrics.shared.base import BACKBONE, Found
from toraeval.metrics.shared.expectations import below
from toraeval.metrics.shared.frame_features import BACKBONES, LATER_RULE, FrameFeatures, later_frames
from toraeval.metrics.shared.networks import efficientnet
from toraeval.metrics.shared.reference import FrameMetric, over_clip
from toraeval.types import Case, Video


class ClassKept(FrameMetric):
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

    name = "class_kept"
    version = "2"
    direction = "higher"
    units = "share"
    value_range = "0 to 1"
    formula = "mean_case mean_frame [argmax p(x_t) = argmax p(x_0)]"
    details = {"frames": LATER_RULE}
    columns = {
        f"class_kept_{BACKBONE}": "share of frames that keep the class of the first frame",
        f"class_kept_{BACKBONE}_confidence": "mean probability of that class",
        f"class_kept_{BACKBONE}_reference": "share of frames that have the class of the same frame of the reference",
    }
    source = efficientnet.SOURCE
    expected = {f"class_kept_{BACKBONE}_reference": below("blurred", "noise", "other_case")}
    backbones = BACKBONES
    keyed = ("backbone", "weights", "max_frames")
    one_frame = "1 frame: nothing to compare with it"

    def __init__(
        self,
        backbone: str = efficientnet.NAME,
        weights: str | None = None,
        max_frames: int = 15,
        device: str = "cpu",
        cache: str | None = None,
    ) -> None:
        self.take(backbone=backbone, max_frames=max_frames, device=device, cache=cache)
        self._features = FrameFeatures(weights, device)

    @property
    def weights(self) -> Any:
        return self._features.identity

    def measure(self, case: Case, video: Video) -> Found:
        """Return values, and arrays `class_T` and, with a reference, `reference_class_T`, NaN where not looked at."""
        chosen = np.concatenate([[0], later_frames(video.num_frames, self.max_frames)])
        chances = self._features.probabilities(self._features.of_frames(video, chosen))
        classes = chances.argmax(axis=1)
        column = f"class_kept_{self.backbone}"
        values = {
            column: float((classes[1:] == classes[0]).mean()),
            f"{column}_confidence": float(chances[1:, classes[0]].mean()),
        }
        arrays = {"class_T": over_clip(video.num_frames, chosen, classes)}
        if case.reference is not None:
            truth = self._features.of_reference(self.name, case, chosen[1:], self.cache)
            true_classes = self._features.probabilities(truth).argmax(axis=1)
            values[f"{column}_reference"] = float((classes[1:] == true_classes).mean())
            arrays["reference_class_T"] = over_clip(video.num_frames, chosen[1:], true_classes)
        return values, arrays
