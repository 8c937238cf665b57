"""`tapnextpp`: TAPNext++, a causal point tracker with Apache-2.0 weights, tuned on clips of 1024 frames.

Weights and protocol: google-deepmind/tapnet@c2cbab8, `tapnet/tapnextpp`; the network is our own with the names of the
published weights. Points and results are in a raster of 256x256 whose pixel centres lie at 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from toraeval.allowed import check_options
from toraeval.trackers.shared.base import check_queries
from toraeval.trackers.shared.published import PublishedWeights
from toraeval.trackers.shared.tapnext import SIZE, TAPNext, TAPNextConfig, sampled_positions
from toraeval.types import Tracks, Video

RESOLUTIONS = (256, 512)
_PREFIX, _FIXED = "tapnext.", "query_pos_embed"


class TAPNextPP(PublishedWeights):
    """TAPNext++, one frame at a time: memory does not grow with the clip.

    Args:
        checkpoint: file of the published weights; the fetched one if not given.
        sha256: expected hash of the file; if not given, the one found is recorded.
        weights: `checkpoint`, or `random` to try the wiring (tracks mean nothing then).
        resolution: side in pixels to which frames are resized, 256 or 512 (with the weights tuned for it).
        device: torch device.

    Raises:
        UserError: an unknown value.
    """

    name = "tapnextpp"
    version = "1"
    licence = "Apache-2.0"
    fault = "does not hold weights of TAPNext"
    _network: TAPNext | None = None

    def __init__(
        self,
        checkpoint: str | None = None,
        sha256: str | None = None,
        weights: str = "checkpoint",
        resolution: int = 256,
        device: str = "cpu",
    ) -> None:
        self.checkpoint, self.sha256, self.weights = checkpoint, sha256, weights
        self.resolution, self.device = resolution, device
        what = f"tracker {self.name}"
        check_options(what, self, weights=("checkpoint", "random"), resolution=RESOLUTIONS)
        self.config = TAPNextConfig()

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, resolution, rules and hash of the weights.

        Raises:
            MissingAsset: the weights are absent.
            UserError: they have another hash than asked for.
        """
        return {
            "name": self.name,
            "version": self.version,
            "resolution": self.resolution,
            "weights_sha256": self._weights_hash(),
            "visibility_rule": "logit > 0",
            "query_frame": "predicted",
        }

    def _build(self) -> TAPNext:
        network = TAPNext(self.config)
        if self.weights == "random":
            for value in network.parameters():
                torch.nn.init.normal_(value, std=0.02)
        return network

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow points jointly: adding or removing points changes the others slightly.

        Args:
            video: uint8 RGB frames of any size.
            queries_N2: `(x, y)` pixels of frame 0.

        Returns:
            Tracks in pixels of the video; confidence is the probability of being visible.

        Raises:
            UserError: a query outside the frame.
            MissingAsset: the weights are absent.
        """
        queries = check_queries(video, queries_N2)
        self.prepare()
        assert self._network is not None
        scale = np.array([SIZE / video.width, SIZE / video.height])
        asked = torch.from_numpy((queries + 0.5) * scale).to(self.device, torch.float32)
        places, logits, state = [], [], None
        with torch.inference_mode():
            for frame_CHW in video.frames_TCHW:
                found, seen, state = self._network.step(self._picture(frame_CHW), asked, state)
                places.append(found)
                logits.append(seen)
        tracks = torch.stack(places, 1).double().cpu().numpy() / scale - 0.5
        seen_NT = torch.stack(logits, 1).double().cpu()
        return Tracks(tracks, (seen_NT > 0).numpy(), torch.sigmoid(seen_NT).numpy(), self._info())

    def _picture(self, frame_CHW: npt.NDArray[np.uint8]) -> torch.Tensor:
        picture = torch.from_numpy(np.ascontiguousarray(frame_CHW)).to(self.device, torch.float32)
        side = (self.resolution, self.resolution)
        return F.interpolate(picture[None], side, mode="bilinear", align_corners=False)[0] / 127.5 - 1

    def _fill(self, network: TAPNext, stored: Mapping[str, Any]) -> None:
        stored = stored.get("state_dict", stored)
        state = {key.removeprefix(_PREFIX): value for key, value in stored.items()}
        fixed = state.pop(_FIXED, None)
        if fixed is not None:
            _check_positions(fixed)
        network.load_state_dict(state)


def _check_positions(stored_1PC: torch.Tensor) -> None:
    """Refuse weights whose fixed features of places are not those that `sampled_positions` computes."""
    probe = torch.tensor([[0.5, 0.5], [200.5, 31.5]])
    rows = [0, 31 * SIZE + 200]
    expected = sampled_positions(probe, stored_1PC.shape[-1])
    if not torch.allclose(stored_1PC[0, rows].float(), expected, atol=1e-3):
        raise ValueError("its query_pos_embed is another function of the place")
