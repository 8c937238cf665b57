"""`alltracker`: AllTracker, dense flow from frame 0 to every frame, read at the asked points; MIT code and weights.

Weights and protocol: aharley/alltracker@c1ed462, `test_dense_on_sparse.py`; the network is our own with the names of
the published weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from toraeval.allowed import check_options
from toraeval.trackers.shared.alltracker import AllTrackerConfig, AllTrackerNetwork
from toraeval.trackers.shared.base import check_queries
from toraeval.trackers.shared.published import PublishedWeights
from toraeval.types import Tracks, UserError, Video

RESOLUTION = (384, 512)  # height and width to which frames are resized, as in the authors' evaluation
ITERATIONS = 4
VISIBLE = 0.6


class AllTracker(PublishedWeights):
    """AllTracker in windows of 16 frames, 8 apart; memory grows by the frames of the clip alone.

    The authors read the flow at the nearest pixel, here it is interpolated. A point is visible where visibility times
    confidence is at least 0.6.

    Args:
        checkpoint: file of the published weights; the fetched one if not given.
        sha256: expected hash of the file; if not given, the one found is recorded.
        weights: `checkpoint`, or `random` to try the wiring (tracks mean nothing then).
        size: `full`, or `tiny` for the smaller network with its own weights.
        device: torch device.

    Raises:
        UserError: an unknown value.
    """

    name = "alltracker"
    version = "1"
    licence = "MIT"
    _network: AllTrackerNetwork | None = None

    def __init__(
        self,
        checkpoint: str | None = None,
        sha256: str | None = None,
        weights: str = "checkpoint",
        size: str = "full",
        device: str = "cpu",
    ) -> None:
        self.checkpoint, self.sha256, self.weights = checkpoint, sha256, weights
        self.size, self.device = size, device
        check_options(f"tracker {self.name}", self, weights=("checkpoint", "random"), size=("full", "tiny"))
        self.asset = "alltracker" if size == "full" else "alltracker_tiny"
        self.config = AllTrackerConfig(tiny=size == "tiny")
        self.fault = f"does not hold weights of AllTracker ({size})"

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, size, rules and hash of the weights.

        Raises:
            MissingAsset: the weights are absent.
            UserError: they have another hash than asked for.
        """
        return {
            "name": self.name,
            "version": self.version,
            "size": self.size,
            "resolution": list(RESOLUTION),
            "weights_sha256": self._weights_hash(),
            "visibility_rule": f"visibility * confidence >= {VISIBLE}",
            "query_frame": "the query",
        }

    def _build(self) -> AllTrackerNetwork:
        return AllTrackerNetwork(self.config)

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow points, each independently of the others.

        Args:
            video: uint8 RGB frames of any size, 2 or more.
            queries_N2: `(x, y)` pixels of frame 0.

        Returns:
            Tracks in pixels of the video; confidence is visibility times the network's own confidence.

        Raises:
            UserError: a query outside the frame, or a clip of one frame.
            MissingAsset: the weights are absent.
        """
        queries = check_queries(video, queries_N2)
        if video.num_frames < 2:
            raise UserError(f"tracker {self.name}: {video.num_frames} frame; expected: 2 or more")
        self.prepare()
        assert self._network is not None
        height, width = RESOLUTION
        scale = np.array([width / video.width, height / video.height])
        asked = (queries + 0.5) * scale - 0.5
        found = np.repeat(asked[:, None], video.num_frames, axis=1)
        seen = np.ones(found.shape[:2])
        places = torch.from_numpy((asked + 0.5) / (width, height) * 2 - 1).to(self.device, torch.float32)
        with torch.inference_mode():
            for start, flow, shown in self._network.windows(self._clip(video), ITERATIONS):
                moved = _read(flow, places)
                end = start + len(flow)
                found[:, start:end] = asked[:, None] + moved
                seen[:, start:end] = _read(shown, places).prod(axis=-1)
        found[:, 0], seen[:, 0] = asked, 1.0
        tracks = (found + 0.5) / scale - 0.5
        return Tracks(tracks, seen >= VISIBLE, seen, self._info())

    def _clip(self, video: Video) -> torch.Tensor:
        frames = [
            F.interpolate(
                torch.from_numpy(np.ascontiguousarray(frame))[None].to(self.device, torch.float32),
                RESOLUTION,
                mode="bilinear",
                align_corners=False,
            )
            for frame in video.frames_TCHW
        ]
        return torch.cat(frames)


def _read(maps_S2HW: torch.Tensor, places_N2: torch.Tensor) -> npt.NDArray[np.float64]:
    """Return the values (N, S, 2) of maps at places in -1..1, corner to corner of the picture."""
    grid = places_N2[None, None].expand(len(maps_S2HW), -1, -1, -1)
    sampled = F.grid_sample(maps_S2HW, grid, padding_mode="border", align_corners=False)
    values: npt.NDArray[np.float64] = sampled[:, :, 0].permute(2, 0, 1).double().cpu().numpy()
    return values
