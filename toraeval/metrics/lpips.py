"""LPIPS: perceptual distance of the generated frames from the frames of the reference clip.

Legend of the shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toraeval import assets
from toraeval.machine import one_thread
from toraeval.metrics.shared.base import BACKBONE
from toraeval.metrics.shared.expectations import APART
from toraeval.metrics.shared.frame_features import FrameFeatures
from toraeval.metrics.shared.frames import CHUNK, SHAPES_SIDE, Preparation, in_chunks
from toraeval.metrics.shared.networks import efficientnet, shipped
from toraeval.metrics.shared.networks.weight_sources import own_or_fetched
from toraeval.metrics.shared.reference import ComparedMetric, Numbers
from toraeval.optional import require
from toraeval.types import ByteArray, FloatArray, UserError, Video

if TYPE_CHECKING:
    from torch import Tensor

    from toraeval.metrics.shared.networks.perceptual import Distance

IMPLEMENTATIONS = ("own", "lpips", "torchmetrics")
EMBEDDED = {
    "shapes": (
        Preparation(SHAPES_SIDE, "squash", "bilinear", True),
        "; features of toraeval.metrics.networks.dual_encoder, equal weights",
    ),
    efficientnet.NAME: (
        efficientnet.PREPARE,
        f"; features of {efficientnet.SOURCE}, uniform weights (not learned)",
    ),
}
"""Backbones without learned weights, every channel counts alike: how frames are resized, and where they come from."""


class LPIPS(ComparedMetric):
    """LPIPS: distance of two frames in the normalised features of a network for pictures, against the reference clip.

        lpips = mean over cases, frames t of sum over layers l of
                mean over places of sum over channels c of w_lc (f_lc(x_t) / |f_l(x_t)| - f_lc(y_t) / |f_l(y_t)|)^2

    x generated, y reference, f the features, w learned weights. Lower is better; 0 for equal frames, rarely above 1; no
    unit. Frames keep their size for `alex` and `vgg`. Frame 0 is left out, because image-conditioned models are given
    it. At most `max_frames` frames are compared, evenly spread over the rest, last included. The column names the
    network: `lpips_alex`, `lpips_vgg` (published weights), `lpips_shapes` (features of the picture encoder of
    `clipsim_shapes` at 128x128 with equal weights w = 1 / channels: no LPIPS in the strict sense, and only for the
    world `shapes`), `lpips_efficientnet_lite0` (five scales of an ImageNet classifier at 224x224, again with uniform
    weights w = 1 / channels, not learned: for photographs, and not to be compared with published values).

    A frozen video differs only where things moved, so it scores better than its motion deserves: read `motion_amount`
    beside it. Blur and smears raise it. Cases without a reference clip and clips of one frame are recorded skips.

    Source: Zhang et al., arXiv 1801.03924, version 0.1.

    Args:
        backbone: `shapes`, `alex`, `vgg` or `efficientnet_lite0`.
        weights: the user's own file of the backbone's features; by default the shipped or fetched one.
        implementation: `own`, or the packages `lpips` or `torchmetrics` as a cross-check; both need torchvision.
        max_frames: most frames that are compared.
        device: `cpu` or `cuda`.

    Raises:
        UserError: an option that cannot be.
    """

    name = "lpips"
    version = "2"
    direction = "lower"
    value_range = "0 and more, rarely above 1"
    formula = "mean_case mean_frame sum_layer mean_place sum_channel w (f(x)/|f(x)| - f(y)/|f(y)|)^2"
    details = {**ComparedMetric.details, "implementation": "{implementation}"}
    columns = {f"lpips_{BACKBONE}": "mean perceptual distance from the reference frames"}
    source = "Zhang et al., arXiv 1801.03924, version 0.1"
    expected = {f"lpips_{BACKBONE}": APART}
    backbones = ("shapes", "alex", "vgg", efficientnet.NAME)
    keyed = ("backbone", "implementation", "prepare", "weights", "max_frames")
    implementation: str

    def __init__(
        self,
        backbone: str = "shapes",
        weights: str | None = None,
        implementation: str = "own",
        max_frames: int = 16,
        device: str = "cpu",
    ) -> None:
        if implementation not in IMPLEMENTATIONS:
            raise UserError(f"lpips: implementation={implementation}; allowed: {', '.join(IMPLEMENTATIONS)}")
        self.take(backbone=backbone, implementation=implementation, device=device, max_frames=max_frames)
        if implementation != "own" and (backbone in EMBEDDED or weights):
            raise UserError(
                f"lpips: implementation={implementation} knows no backbone="
                f"{backbone if backbone in EMBEDDED else 'shapes'} and no weights="
            )
        self.prepare: Preparation | None = None
        if backbone in EMBEDDED:
            self.prepare, further = EMBEDDED[backbone]
            self.source = LPIPS.source + further
        self._file = Path(weights).expanduser() if weights else None
        self._frames = FrameFeatures(weights, device)

    @cached_property
    def weights(self) -> Any:
        if self.backbone == "shapes":
            return shipped.fingerprint("clip", self._file)
        if self.backbone == efficientnet.NAME:
            return self._frames.identity
        if self.implementation != "own":
            # the package brings its own weights
            return self._package(self.implementation).__version__
        from toraeval.metrics.shared.networks import perceptual

        return assets.files_sha256([self._path(), perceptual.heads_file(self.backbone)])

    def _package(self, module: str) -> Any:
        return require(module, f"lpips implementation={self.implementation}", "lpips")

    def _path(self) -> Path:
        return own_or_fetched(
            self.name, self._file, f"lpips_{self.backbone}", "a file of torchvision's weights"
        )

    @cached_property
    def _distance(self) -> Distance:
        from toraeval.metrics.shared.networks import dual_encoder, perceptual

        if self.backbone == "shapes":
            network = shipped.load("clip", self._file)
            assert isinstance(network, dual_encoder.DualEncoder)
            return perceptual.FeatureDistance(network.image).to(self.device)
        if self.implementation == "own":
            return perceptual.load(self.backbone, self._path()).to(self.device)
        if self.implementation == "lpips":
            network = self._package("lpips").LPIPS(net=self.backbone, verbose=False)
        else:
            self._package("torchvision")
            network = self._package("torchmetrics.functional.image.lpips")._NoTrainLpips(net=self.backbone)
        return network.eval().requires_grad_(False).to(self.device)

    def compare(self, video: Video, chosen_K: Numbers, truth_KHWC: ByteArray) -> FloatArray:
        """Return the distance of each chosen frame, float64 (K,)."""
        truth_KCHW = truth_KHWC.transpose(0, 3, 1, 2)
        if self.backbone == efficientnet.NAME:
            return self._of_photographs(video, chosen_K, truth_KCHW)
        import torch

        from toraeval.metrics.shared.networks import perceptual

        distance = self._distance
        with one_thread(), torch.inference_mode():
            if self.prepare is not None:
                prepared = self.prepare.of(video, chosen_K), self.prepare(truth_KCHW)
            else:
                prepared = _in_range(video.frames_TCHW[chosen_K]), _in_range(truth_KCHW)
            if 2 * len(chosen_K) <= CHUNK and isinstance(distance, perceptual.FeatureDistance):
                # both sides in one pass
                ((both, _),) = in_chunks(torch.cat(prepared))
                found = [distance.within(both.to(self.device), len(chosen_K))]
            else:
                found = [
                    distance(own.to(self.device), true.to(self.device)).reshape(-1)[:count]
                    for (own, count), (true, _) in zip(*map(in_chunks, prepared), strict=True)
                ]
        return np.asarray(torch.cat(found).double().cpu().numpy())

    def _of_photographs(self, video: Video, chosen_K: Numbers, truth_KCHW: ByteArray) -> FloatArray:
        """Return the same by the classifier, whose maps of a clip's frames other metrics have asked for, too."""
        import torch

        from toraeval.metrics.shared.networks import perceptual

        frames = self._frames
        distance = perceptual.FeatureDistance(frames.network)
        found = []
        with one_thread(), torch.inference_mode():
            for at in range(0, len(chosen_K), CHUNK):
                part = slice(at, at + CHUNK)
                own = frames.maps_of_frames(video, chosen_K[part])
                found.append(distance.of_maps(own, frames.maps(truth_KCHW[part])))
        return np.asarray(torch.cat(found).double().cpu().numpy())

    def mean(self, found_T: FloatArray, chosen_K: Numbers) -> float:
        """Return the mean over the compared frames, summed without the NaN between them: the last bit depends on it."""
        return float(found_T[chosen_K].mean())


def _in_range(frames_TCHW: ByteArray) -> Tensor:
    """Return frames of their own size as float32 in [-1, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(frames_TCHW)).float() / 127.5 - 1
