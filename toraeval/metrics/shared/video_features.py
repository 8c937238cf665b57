"""Networks that turn a clip into a feature vector for `fvd`, each with its one fixed recipe.

Legend of the shape suffixes: B clips, T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from toraeval import assets
from toraeval.machine import one_thread
from toraeval.metrics.shared.frame_features import FrameFeatures, changes
from toraeval.metrics.shared.frames import SHAPES_FRAMES, SHAPES_SIDE, Preparation
from toraeval.metrics.shared.networks import efficientnet, shipped
from toraeval.metrics.shared.networks.weight_sources import own_or_fetched, readable
from toraeval.metrics.shared.reference import Numbers, reference_frames
from toraeval.types import Case, FloatArray, Video

if TYPE_CHECKING:
    from torch import Tensor, nn

    # Of a clip, float (B, T, C, H, W), to features (B, D).
    Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FeatureRecipe:
    """What decides the features besides the weights.

    Attributes:
        prepare: from frames to input.
        frames: consecutive frames of a clip; they are taken as they come, whatever their rate.
        layer: which output the features are.
        asset: name in `toraeval.assets`, or empty.
        source: where network and recipe come from; part of the keys of stored scores, so the words stay as they are,
            wherever the modules lie.
    """

    prepare: Preparation
    frames: int
    layer: str
    asset: str
    source: str


SHAPES = FeatureRecipe(
    Preparation(SHAPES_SIDE, "squash", "bilinear", True),
    SHAPES_FRAMES,
    "the 64 features that its readings share",
    "",
    "toraeval, trained on the world `shapes`; toraeval.metrics.networks.video_net",
)
RECIPES: dict[str, FeatureRecipe] = {
    "shapes": SHAPES,
    "random": FeatureRecipe(
        SHAPES.prepare,
        SHAPES.frames,
        "as shapes",
        "",
        "the network of `shapes` with random weights, for tests",
    ),
    "i3d": FeatureRecipe(
        Preparation(224, "crop", "bilinear", False),
        16,
        "400 logits before softmax",
        "fvd_i3d",
        "TorchScript file of StyleGAN-V, preparation of common_metrics_on_video_quality (fvd/styleganv)",
    ),
    "videomae": FeatureRecipe(
        Preparation(224, "squash", "bilinear", False, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        16,
        "mean over tokens, normalised, before the classifier (1408 features)",
        "fvd_videomae",
        "content-debiased FVD, arXiv 2404.12391: VideoMAE v2 ViT-g fine-tuned on Something-Something v2",
    ),
    efficientnet.NAME: FeatureRecipe(
        efficientnet.PREPARE,
        16,
        "mean over frames of the 1280 features before the classifier; logarithms of their step and spread in groups",
        "",
        efficientnet.SOURCE,
    ),
}


class VideoFeatures:
    """A backbone of `fvd`, loaded when it is first needed.

    Args:
        backbone: a key of `RECIPES`.
        weights: the user's own weight file, None for the shipped or fetched one.
        device: `cpu` or `cuda`.
    """

    # Parts of the vector that give values of their own, by what is appended to the column.
    parts: ClassVar[Mapping[str, slice]] = {"": slice(None)}
    clips_rule = "{} consecutive frames, one every {} frames, rest left out"

    def __init__(self, backbone: str, weights: str | None, device: str) -> None:
        self.backbone, self.recipe, self.device = backbone, RECIPES[backbone], device
        self._file = Path(weights).expanduser() if weights else None

    @cached_property
    def weights(self) -> Any:
        """What identifies the weights.

        Raises:
            MissingAsset: no weights.
        """
        if self.backbone == "random":
            import torch

            return {"seed": 0, "torch": torch.__version__}
        if self.backbone == "shapes":
            return shipped.fingerprint("video", self._file)
        return assets.remembered_sha256(self._path())

    def _path(self) -> Path:
        return own_or_fetched("fvd", self._file, self.recipe.asset, "a file with the weights")

    def __call__(self, video: Video, stride: int) -> FloatArray:
        """Return the features of all clips of a video.

        Args:
            video: at least as many frames as a clip has.
            stride: frames from the start of one clip to that of the next.

        Returns:
            float64 (clips, D).

        Raises:
            MissingAsset: no weights.
            UserError: a damaged or wrong file.
        """
        return np.concatenate(
            [self._one(self.recipe.prepare.of(video, part)) for part in self._parts(video, stride)]
        )

    def of_reference(
        self, metric: str, case: Case, stride: int, video: Video, features_ND: FloatArray
    ) -> FloatArray:
        """Return the same of the reference clip of a case that has one, which is never held as a whole.

        Args:
            metric: who asks.
            case: it has a reference.
            stride: as above.
            video, features_ND: a clip of the case and its features, taken where the reference looks the same.

        Raises:
            MissingAsset: no weights.
            UserError: a damaged or wrong file, or a clip of another length or size than the case.
        """
        rows = []
        for part, own in zip(self._parts(video, stride), features_ND, strict=True):
            truth_THWC = reference_frames(metric, case, part)
            if np.array_equal(truth_THWC, video.thwc[part]):
                rows.append(own[None])
            else:
                rows.append(self._one(self.recipe.prepare(truth_THWC.transpose(0, 3, 1, 2))))
        return np.concatenate(rows)

    def _parts(self, video: Video, stride: int) -> list[Numbers]:
        """Return the frame numbers of each clip; the rest at the end is left out."""
        length = self.recipe.frames
        return [np.arange(k, k + length) for k in range(0, video.num_frames - length + 1, stride)]

    def _one(self, prepared_TCHW: Tensor) -> FloatArray:
        """Return float64 (1, D); one clip at a time, so that no number depends on how many there are."""
        import torch

        with one_thread(), torch.inference_mode():
            return np.asarray(self._network(prepared_TCHW[None].to(self.device)).double().cpu().numpy())

    @cached_property
    def _network(self) -> Network:
        if self.backbone == "shapes":
            return shipped.load("video", self._file).to(self.device)
        if self.backbone == "random":
            return _random_network().to(self.device)
        if self.backbone == "videomae":
            from toraeval.metrics.shared.networks import videomae

            return videomae.load(self._path(), self.device)
        return _load_i3d(self._path(), self.device)


class PhotoVideoFeatures(VideoFeatures):
    """A classifier of photographs on 16 frames spread evenly over the whole video: one vector a video.

    The first 1280 features say what the frames show, the others how that changes over time.
    """

    parts: ClassVar[Mapping[str, slice]] = {
        "_frame": slice(0, efficientnet.FEATURES),
        "_time": slice(efficientnet.FEATURES, None),
    }
    clips_rule = "{} frames spread evenly over the video, first and last included: one clip a video"

    def __init__(self, backbone: str, weights: str | None, device: str) -> None:
        super().__init__(backbone, weights, device)
        self._frames = FrameFeatures(weights, device)

    @cached_property
    def weights(self) -> Any:
        return self._frames.identity

    def __call__(self, video: Video, stride: int) -> FloatArray:
        """Return float64 (1, 1408) features of a video of at least 16 frames; `stride` does not matter."""
        return self._joined(self._frames.of_frames(video, self._chosen(video)))

    def of_reference(
        self, metric: str, case: Case, stride: int, video: Video, features_ND: FloatArray
    ) -> FloatArray:
        """Return the same of the reference clip of a case that has one, see `VideoFeatures.of_reference`."""
        truth_THWC = reference_frames(metric, case, self._chosen(video))
        return self._joined(self._frames(truth_THWC.transpose(0, 3, 1, 2)))

    def _chosen(self, video: Video) -> Numbers:
        return np.rint(np.linspace(0, video.num_frames - 1, self.recipe.frames)).astype(np.int64)

    def _joined(self, features_TD: FloatArray) -> FloatArray:
        return np.concatenate([features_TD.mean(0), changes(features_TD)])[None]


def _random_network() -> nn.Module:
    import torch

    from toraeval.metrics.shared.networks.video_net import VideoNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VideoNet().eval().requires_grad_(False)


def _load_i3d(file: Path, device: str) -> Network:
    """Return the TorchScript I3D, with its own resizing and rescaling switched off, because the recipe has done it."""
    import torch

    cure = f"delete it and run: {assets.fetch_command('fvd_i3d')}"
    assets.require_numbers([file], "fvd", cure)
    with readable(f"fvd: {file} is not a TorchScript file", cure), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the published file is TorchScript and stays so
        script = torch.jit.load(str(file), map_location=device).eval()  # type: ignore[no-untyped-call]

    def features(clip_BTCHW: Tensor) -> Tensor:
        clip = clip_BTCHW.transpose(1, 2).contiguous()
        out: Tensor = script(clip, rescale=False, resize=False, return_features=True)
        return out

    return features
