"""Optical flow of training clips: estimators by name, and a cache on disk.

Every estimator gives the motion from each frame to the next at the pixels of the earlier one, and states a name and a
version that go into records and cache keys. Flow is rounded to float16 whether it comes from the cache or not, so
that a second run trains on the same numbers.

Shape legend: T frames, H height, W width.
"""

from __future__ import annotations

import hashlib
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from toraeval.models.shared.flow_colour import Float32Array
from toraeval.optional import probe, require
from toraeval.registry import unknown
from toraeval.store.keys import file_sha256
from toraeval.store.sealed import atomic
from toraeval.trackers.dis_flow import PRESETS
from toraeval.types import ByteArray, MissingAsset, UserError, Video
from toraeval.video import video_sha256

RAFT_URL = "https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth"
RAFT_HASH = "ff5fadd5"  # start of the file's SHA-256, as its publisher writes it into the name
RAFT_STRIDE = 8  # sides must be multiples of it, and at least 16 of them


class FlowEstimator(ABC):
    """Estimates the flow of a clip."""

    name: str  # registry name
    version: str  # what, beside the clip, decides the numbers

    @abstractmethod
    def estimate(self, frames_THWC: ByteArray) -> Float32Array:
        """Return float32 (T - 1, H, W, 2) `(dx, dy)` in pixels for uint8 RGB frames, T at least 2.

        Raises:
            UserError: sides that the method cannot take.
        """


class DIS(FlowEstimator):
    """Dense inverse search (Kroeger et al., ECCV 2016) of OpenCV; fast and needs no weights.

    Raises:
        UserError: an unknown preset.
    """

    name = "dis"

    def __init__(self, preset: str = "medium") -> None:
        if preset not in PRESETS:
            raise UserError(unknown("preset of the flow estimator dis", preset, PRESETS))
        self.version = f"opencv-{cv2.__version__}-{preset}"
        self._method = cv2.DISOpticalFlow.create(PRESETS[preset])

    def estimate(self, frames_THWC: ByteArray) -> Float32Array:
        height, width = frames_THWC.shape[1:3]
        if min(height, width) < 16:  # cannot be divided into patches
            raise UserError(f"flow estimator dis: frames of {width}x{height}; allowed: at least 16x16")
        grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames_THWC]
        # None: no start value, or a pair would depend on the one before
        return np.stack([self._method.calc(before, after, None) for before, after in pairwise(grey)]).astype(
            np.float32
        )


class RAFT(FlowEstimator):
    """RAFT-large of torchvision, the estimator of Tora's recipe (Teed and Deng, ECCV 2020).

    It takes the file of the published weights `C_T_SKHT_V2`, and `batch` pairs of frames at once.

    Raises:
        MissingDependency: torchvision is absent or broken.
        MissingAsset: no file there.
        UserError: another file than the published one.
    """

    name = "raft"

    def __init__(self, weights: str | Path | None = None, device: str = "cpu", batch: int = 2) -> None:
        models = require("torchvision.models.optical_flow", "flow estimator raft")
        path = Path(weights or Path(RAFT_URL).name)
        if not path.is_file():
            raise MissingAsset(
                f"flow estimator raft: no weights at {path}; download them with: curl -LO {RAFT_URL} "
                "and give the path as weights=PATH"
            )
        digest = file_sha256(path)
        if not digest.startswith(RAFT_HASH):
            raise UserError(
                f"flow estimator raft: {path} has SHA-256 {digest[:8]}...; allowed: {RAFT_HASH}...; "
                f"download it again with: curl -LO {RAFT_URL}"
            )
        network = models.raft_large(weights=None, progress=False)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self._network, self._device, self._batch = network.eval().to(device), device, batch
        self.version = f"torchvision-{probe('torchvision').version}-{RAFT_HASH}"

    @torch.no_grad()
    def estimate(self, frames_THWC: ByteArray) -> Float32Array:
        height, width = frames_THWC.shape[1:3]
        if height % RAFT_STRIDE or width % RAFT_STRIDE or min(height, width) < 16 * RAFT_STRIDE:
            raise UserError(
                f"flow estimator raft: frames of {width}x{height}; allowed: sides divisible by {RAFT_STRIDE}, "
                f"at least {16 * RAFT_STRIDE}"
            )
        # whole frames in -1..1, as the published weights were trained
        frames = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        parts = []
        for before, after in zip(frames[:-1].split(self._batch), frames[1:].split(self._batch), strict=True):
            flow = self._network(before.to(self._device), after.to(self._device))[-1]  # the last refinement
            parts.append(flow.float().cpu().permute(0, 2, 3, 1))
        return torch.cat(parts).numpy()


def given_flow(video: Path) -> Float32Array:
    """Read the flow that lies beside a video: `NAME.npy`, `NAME.npz` (array `flow`), `NAME.flo` or `NAME_flow/*.flo`.

    Returns:
        float32 (T - 1, H, W, 2) in pixels of the video file, perhaps mapped from disk; `.flo` files in order of name.

    Raises:
        UserError: none of these files, or one that holds no flow.
    """
    stem = video.with_suffix("")
    for suffix in (".npy", ".npz"):
        if (path := stem.with_suffix(suffix)).is_file():
            try:
                stored = np.load(path, mmap_mode="r", allow_pickle=False)
                return stored["flow"] if suffix == ".npz" else stored
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
                raise UserError(
                    f"{path}: not a flow file ({error}); allowed: an array (T-1,H,W,2)"
                ) from error
    files = sorted(stem.with_name(f"{stem.name}_flow").glob("*.flo")) or [stem.with_suffix(".flo")]
    if not files[0].is_file():
        raise UserError(
            f"{video}: no flow beside it; allowed: {stem.name}.npy, {stem.name}.npz, {stem.name}.flo or "
            f"{stem.name}_flow/*.flo; or let it be estimated: flow_estimator=dis"
        )
    frames = [cv2.readOpticalFlow(str(file)) for file in files]
    for file, frame in zip(files, frames, strict=True):
        if frame is None or frame.size == 0 or frame.shape != frames[0].shape:
            raise UserError(f"{file}: not a flow file of the size of its neighbours; write it again")
    return np.stack(frames)


ESTIMATORS: dict[str, Callable[..., FlowEstimator]] = {"dis": DIS, "raft": RAFT}


def build_estimator(name: str, **options: Any) -> FlowEstimator:
    """Build an estimator by name.

    Raises:
        UserError: an unknown name; see the classes for their options and errors.
    """
    if name not in ESTIMATORS:
        raise UserError(unknown("flow estimator", name, ESTIMATORS))
    return ESTIMATORS[name](**options)


class FlowCache:
    """Flow of clips, estimated once and kept in a folder as float16, or in none."""

    def __init__(self, estimator: FlowEstimator, folder: str | Path | None = None) -> None:
        self.estimator = estimator
        self.folder = Path(folder) / f"{estimator.name}-{estimator.version}" if folder else None

    def fingerprint(self) -> dict[str, str]:
        """Return name and version of the estimator and the precision of its numbers."""
        return {"flow": self.estimator.name, "flow_version": self.estimator.version, "flow_dtype": "float16"}

    def flow(self, video: Video) -> Float32Array:
        """Return the flow of a clip; float32 (T - 1, H, W, 2) with float16 values, in pixels.

        Raises:
            UserError: a clip of one frame, a damaged or unwritable cache, or what the estimator raises.
        """
        if video.num_frames < 2:
            raise UserError(f"flow: a clip of {video.num_frames} frame has none; allowed: at least 2 frames")
        shape = (video.num_frames - 1, video.height, video.width, 2)
        if self.folder is None:
            return self._estimate(video).astype(np.float32)
        key = hashlib.sha256(f"{video_sha256(video)} {shape}".encode()).hexdigest()
        path = self.folder / key[:2] / f"{key}.npy"
        if not path.exists():
            flow = self._estimate(video)
            atomic(path, lambda temporary: np.save(temporary, flow))
            return flow.astype(np.float32)
        try:
            stored = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path}: damaged flow ({error}); delete it and run the command again") from error
        if stored.shape != shape:
            raise UserError(
                f"{path}: flow of shape {stored.shape}, not {shape}; delete it and run the command again"
            )
        return stored.astype(np.float32)

    def _estimate(self, video: Video) -> np.ndarray:
        flow = self.estimator.estimate(video.thwc)
        largest = np.finfo(np.float16).max  # a diverged vector must not become infinite
        return np.clip(flow, -largest, largest).astype(np.float16)
