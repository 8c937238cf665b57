"""LPIPS: perceptual distance of the generated frames from the frames of the reference clip.

Legend of the shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from toraeval import assets
from toraeval.metrics.shared.frames import Preparation, in_chunks
from toraeval.metrics.shared.networks import dual_encoder, efficientnet, perceptual, shipped
from toraeval.metrics.shared.paths import definition_of
from toraeval.metrics.shared.reference import FRAMES_RULE, ComparedFrames, compared_frames
from toraeval.optional import require
from toraeval.threads import one_thread
from toraeval.types import ByteArray, Case, FloatArray, MissingAsset, Score, Tracks, UserError, Video

IMPLEMENTATIONS = ("own", "lpips", "torchmetrics")
BACKBONES = ("shapes", *perceptual.LAYOUTS, efficientnet.NAME)
EMBEDDED = ("shapes", efficientnet.NAME)
"""Backbones without learned weights: every channel counts alike."""


class LPIPS:
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

    name: ClassVar[str] = "lpips"
    version: ClassVar[str] = "2"
    direction: ClassVar[str] = "lower"
    units: ClassVar[str] = ""
    needs_video: ClassVar[bool] = True

    def __init__(
        self,
        backbone: str = "shapes",
        weights: str | None = None,
        implementation: str = "own",
        max_frames: int = 16,
        device: str = "cpu",
    ) -> None:
        for option, value, allowed in (
            ("backbone", backbone, BACKBONES),
            ("implementation", implementation, IMPLEMENTATIONS),
            ("device", device, ("cpu", "cuda")),
        ):
            if value not in allowed:
                raise UserError(f"lpips: {option}={value}; allowed: {', '.join(allowed)}")
        if max_frames < 1:
            raise UserError(f"lpips: max_frames={max_frames}; allowed: whole numbers >= 1")
        if implementation != "own" and (backbone in EMBEDDED or weights):
            raise UserError(
                f"lpips: implementation={implementation} knows no backbone={backbone} and no weights="
                if backbone in EMBEDDED
                else f"lpips: implementation={implementation} knows no backbone=shapes and no weights="
            )
        self.backbone, self.implementation = backbone, implementation
        self.max_frames, self.device = max_frames, device
        self._file = Path(weights).expanduser() if weights else None
        self._distance: perceptual.Distance | None = None

    @property
    def prepare(self) -> Preparation | None:
        """How frames are resized; None where they keep their size."""
        return {
            "shapes": Preparation(dual_encoder.SIDE, "squash", "bilinear", True),
            efficientnet.NAME: efficientnet.PREPARE,
        }.get(self.backbone)

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a value.

        Raises:
            MissingAsset: no weights.
        """
        return {
            "metric": self.name,
            "version": self.version,
            "backbone": self.backbone,
            "implementation": self.implementation,
            "prepare": asdict(self.prepare) if self.prepare else None,
            "weights": self._weights_identity,
            "max_frames": self.max_frames,
        }

    @cached_property
    def _weights_identity(self) -> Any:
        if self.backbone == "shapes":
            return shipped.fingerprint("clip", self._file)
        if self.backbone == efficientnet.NAME:
            return efficientnet.fingerprint(self._file)
        if self.implementation != "own":
            # the package brings its own weights
            return require(
                self.implementation, f"lpips implementation={self.implementation}", "lpips"
            ).__version__
        return assets.files_sha256([self._path(), perceptual.heads_file(self.backbone)])

    def _path(self) -> Path:
        if self._file is None:
            return assets.path(f"lpips_{self.backbone}")
        if not self._file.is_file():
            raise MissingAsset(
                f"lpips: weights={self._file} is missing; allowed: a file of torchvision's weights"
            )
        return self._file

    def _load(self) -> perceptual.Distance:
        if self.backbone == "shapes":
            network = shipped.load("clip", self._file)
            assert isinstance(network, dual_encoder.DualEncoder)
            return perceptual.FeatureDistance(network.image).to(self.device)
        if self.backbone == efficientnet.NAME:
            return perceptual.FeatureDistance(efficientnet.load(self._file)).to(self.device)
        if self.implementation == "lpips":
            package = require("lpips", "lpips implementation=lpips", "lpips")
            return (
                package.LPIPS(net=self.backbone, verbose=False).eval().requires_grad_(False).to(self.device)
            )
        if self.implementation == "torchmetrics":
            require("torchvision", "lpips implementation=torchmetrics", "lpips")
            module = require("torchmetrics.functional.image.lpips", "lpips implementation=torchmetrics")
            net = module._NoTrainLpips(net=self.backbone)
            return net.eval().requires_grad_(False).to(self.device)
        return perceptual.load(self.backbone, self._path()).to(self.device)

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Score one case; arrays: `lpips_T`, NaN for frames that are not compared.

        Raises:
            MissingAsset: no weights, or a package is absent.
            UserError: the video or the reference does not fit the case.
        """
        frames = compared_frames(self.name, case, video, self.max_frames)
        if not isinstance(frames, ComparedFrames):
            return Score(self.name, self.version, skipped=frames)
        if self._distance is None:
            self._distance = self._load()
        chosen = frames.chosen
        per_frame = np.full(frames.video.num_frames, np.nan)
        with one_thread(), torch.inference_mode():
            pair = (clip.frames_TCHW[chosen] for clip in (frames.video, frames.reference))
            per_frame[chosen] = self._distances(*pair)
        values = {f"lpips_{self.backbone}": float(per_frame[chosen].mean())}
        return Score(self.name, self.version, values, {"lpips_T": per_frame})

    def _distances(self, frames_TCHW: ByteArray, truth_TCHW: ByteArray) -> FloatArray:
        assert self._distance is not None
        prepared = [
            self.prepare(x) if self.prepare else torch.from_numpy(np.ascontiguousarray(x)).float() / 127.5 - 1
            for x in (frames_TCHW, truth_TCHW)
        ]
        found = []
        for (own, count), (true, _) in zip(*map(in_chunks, prepared), strict=True):
            distance = self._distance(own.to(self.device), true.to(self.device))
            found.append(distance.reshape(-1)[:count])
        return np.asarray(torch.cat(found).double().cpu().numpy())

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        return definition_of(
            self,
            formula="mean_case mean_frame sum_layer mean_place sum_channel w (f(x)/|f(x)| - f(y)/|f(y)|)^2",
            value_range="0 and more, rarely above 1",
            columns={f"lpips_{self.backbone}": "mean perceptual distance from the reference frames"},
            source="Zhang et al., arXiv 1801.03924, version 0.1"
            + (
                {
                    "shapes": "; features of toraeval.metrics.networks.dual_encoder, equal weights",
                    efficientnet.NAME: f"; features of {efficientnet.SOURCE}, uniform weights (not learned)",
                }.get(self.backbone, "")
            ),
            pooling="frames of a case, then cases, with equal weight",
            frames=FRAMES_RULE.format(self.max_frames),
            implementation=self.implementation,
        )
