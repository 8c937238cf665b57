"""`cotracker3_offline` and `cotracker3_online`: CoTracker3 through torch.hub, pinned and checked.

Karaev et al., "CoTracker3: Simpler and Better Point Tracking by Pseudo-Labelling Real Videos",
arXiv 2410.11831; upstream facebookresearch/co-tracker, `hubconf.py` and `cotracker/predictor.py`,
code CC BY-NC 4.0. Nothing of it is part of this package; it is loaded from a checkout or from
torch.hub's cache. Differences to a plain `torch.hub.load`: the commit is pinned and its code
hashed, the checkpoint is hashed and loaded without unpickling objects, the caller's random state
survives the import (upstream reseeds torch), and the offline mode computes feature maps in chunks.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from toraeval.trackers.shared.base import check_queries
from toraeval.trackers.shared.cotracker_hub import REPOSITORY, HubSource, random_state_kept
from toraeval.types import FloatArray, Tracks, UserError, Video, be, counted

LICENCE = "code CC BY-NC 4.0 (facebookresearch/co-tracker LICENSE.md); weights: treat as non-commercial"


@dataclass
class _CoTracker3(HubSource, ABC):
    """Options shared by both modes, besides those of `HubSource`.

    Attributes:
        device: torch device.
    """

    version = "1"
    visibility_rule: ClassVar[str]
    query_frame: ClassVar[str]

    device: str = "cpu"
    _predictor: Any = field(default=None, init=False, repr=False, compare=False)

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, code revision, weights hash and rules; no path, chunk size or device.

        Raises:
            MissingAsset: code or weights are absent.
            UserError: the weights have another hash than asked for.
        """
        return {
            "name": self.name,
            "version": self.version,
            "code": self._code(),
            "weights_sha256": self._weights_hash(),
            "visibility_rule": self.visibility_rule,
            "query_frame": self.query_frame,
        }

    def prepare(self) -> None:
        """Load code and weights; `track` does so by itself.

        Raises:
            MissingAsset: code or weights are absent.
            UserError: hash or contents of the weights are wrong, or other code is already imported.
        """
        if self._predictor is not None:
            return
        predictor = self._load()
        self._limit_memory(predictor.model)
        self._predictor = predictor.to(self.device).eval()

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow points jointly: adding or removing points changes the others slightly.

        Args:
            video: uint8 RGB frames; upstream resizes them to 384x512 inside, whatever their size.
            queries_N2: `(x, y)` pixels of frame 0.

        Returns:
            Tracks in pixels of the video; confidence is not available.

        Raises:
            UserError: a query outside the frame, or a clip that the mode cannot track.
            MissingAsset: code or weights are absent.
        """
        queries = check_queries(video, queries_N2)
        self._check_clip(video)
        self.prepare()
        # upstream reads (frame, x, y) in float32 and RGB in 0..255
        timed = np.concatenate([np.zeros((len(queries), 1)), queries], axis=1)
        queries_1N3 = torch.from_numpy(timed.astype(np.float32))[None].to(self.device)
        frames = np.ascontiguousarray(video.frames_TCHW)
        clip_1TCHW = torch.from_numpy(frames)[None].to(self.device, torch.float32)
        with torch.no_grad(), random_state_kept():
            tracks, visible = self._predict(clip_1TCHW, queries_1N3)
        tracks_NT2: FloatArray = tracks[0].permute(1, 0, 2).cpu().numpy().astype(np.float64)
        visible_NT = visible[0].permute(1, 0).cpu().numpy().astype(bool)
        return Tracks(tracks_NT2, visible_NT, None, self._info())

    def _info(self) -> dict[str, Any]:
        options = {k: v for k, v in asdict(self).items() if not k.startswith("_")}
        return {
            **options,
            **self.fingerprint(),
            "licence": LICENCE,
            "repository": REPOSITORY,
            "internal_size": "384x512, bilinear, corners to corners",
            "torch": torch.__version__,
        }

    def _check_clip(self, video: Video) -> None:
        if min(video.height, video.width) < 2:
            raise UserError(
                f"tracker {self.name}: {video.width}x{video.height} is too small; at least 2x2 pixels"
            )

    @abstractmethod
    def _predict(
        self, clip_1TCHW: torch.Tensor, queries_1N3: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tracks [1,T,N,2] and visibility [1,T,N] of one clip in this mode."""

    def _limit_memory(self, model: Any) -> None:
        """Hook for modes whose memory grows with the clip."""


@dataclass
class CoTracker3Offline(_CoTracker3):
    """CoTracker3 that sees the whole clip at once; trained on windows of 60 frames.

    Visible means sigmoid(visibility) > 0.9, the confidence output is ignored; the prediction in
    the query frame is overwritten with the query; a 6x6 support grid is tracked along.

    Attributes:
        chunk_frames: frames per pass of the feature network; memory only, results are bit-identical.
    """

    name = "cotracker3_offline"
    visibility_rule: ClassVar[str] = "sigmoid(visibility) > 0.9"
    query_frame: ClassVar[str] = "overwritten with the query"

    chunk_frames: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chunk_frames < 1:
            raise UserError(f"tracker {self.name}: chunk_frames={self.chunk_frames} must be at least 1")

    def _limit_memory(self, model: Any) -> None:
        # The predictor never sets this argument: 200 frames at once cost 88 MB each. The online model
        # must be left alone: it pads a short last window, which its own chunking then forgets.
        model.forward = functools.partial(model.forward, fmaps_chunk_size=self.chunk_frames)

    def _predict(
        self, clip_1TCHW: torch.Tensor, queries_1N3: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tracks, visible = self._predictor(clip_1TCHW, queries=queries_1N3)
        return tracks, visible


@dataclass
class CoTracker3Online(_CoTracker3):
    """CoTracker3 in causal windows of 16 frames, 8 apart; memory does not grow with the clip.

    Visible means sigmoid(visibility) * sigmoid(confidence) > 0.6; the query frame keeps the
    prediction, which differs from the query; no support grid unless asked for. Its numbers must
    not share a column with the offline ones.

    Attributes:
        support_grid: track a 6x6 grid along, as the offline mode always does.
    """

    name = "cotracker3_online"
    visibility_rule: ClassVar[str] = "sigmoid(visibility) * sigmoid(confidence) > 0.6"
    query_frame: ClassVar[str] = "predicted"

    support_grid: bool = False

    def fingerprint(self) -> dict[str, Any]:
        """Return what the offline mode does, and whether a support grid is tracked along."""
        return {**super().fingerprint(), "support_grid": self.support_grid}

    def _check_clip(self, video: Video) -> None:
        super()._check_clip(video)
        if video.num_frames <= 8:
            raise UserError(
                f"tracker {self.name}: {counted(video.num_frames, 'frame')} {be(video.num_frames)} too few; at least "
                "9, "
                f"or use tracker=cotracker3_offline"
            )

    def _predict(
        self, clip_1TCHW: torch.Tensor, queries_1N3: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        grid, step = self.support_grid, self._predictor.step
        # without this call the new clip would be appended to the one before
        self._predictor(
            video_chunk=clip_1TCHW[:, : 2 * step],
            is_first_step=True,
            queries=queries_1N3,
            add_support_grid=grid,
        )
        for start in range(0, clip_1TCHW.shape[1] - step, step):
            chunk = clip_1TCHW[:, start : start + 2 * step]
            tracks, visible = self._predictor(video_chunk=chunk, add_support_grid=grid)
        return tracks, visible
