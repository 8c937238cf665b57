"""Options of suites, trackers and metrics that are slow to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING


@dataclass
class ShapesConfig:
    """See `toraeval.suites.shapes.suite.Shapes`."""

    name: str = "shapes"
    split: str = "test"
    count: int = 16
    version: int = 1


@dataclass
class PhotosConfig:
    """See `toraeval.suites.photos.suite.Photos`."""

    name: str = "photos"
    split: str = "test"
    count: int = 64


@dataclass
class FolderConfig:
    """See `toraeval.suites.folder.suite.Folder`."""

    name: str = "folder"
    path: str = MISSING
    canvas: Any = None
    format: str = "auto"
    layout: str = "auto"
    units: str = "auto"
    rule: str = "index"
    fps: float = 8.0


@dataclass
class CoTracker3Config:
    """See `toraeval.trackers.cotracker`."""

    name: str = MISSING
    checkpoint: str | None = None
    sha256: str | None = None
    weights: str = "checkpoint"
    source: str = "github"
    repo_dir: str | None = None
    revision: str = "82e02e8029753ad4ef13cf06be7f4fc5facdda4d"
    device: str = "cpu"


@dataclass
class CoTracker3OfflineConfig(CoTracker3Config):
    name: str = "cotracker3_offline"
    chunk_frames: int = 8


@dataclass
class CoTracker3OnlineConfig(CoTracker3Config):
    name: str = "cotracker3_online"
    support_grid: bool = False


@dataclass
class TrajErrorConfig:
    name: str = "traj_error"


@dataclass
class FVDConfig:
    """See `toraeval.metrics.fvd.FVD`."""

    name: str = "fvd"
    backbone: str = "shapes"
    weights: str | None = None
    clip_stride: int = 16
    min_videos: int = 8
    resamples: int = 200
    extrapolate: bool = False
    device: str = "cpu"
    cache: str | None = None


@dataclass
class ClipSimConfig:
    """See `toraeval.metrics.clipsim.ClipSim`."""

    name: str = "clipsim"
    backbone: str = "shapes"
    weights: str | None = None
    max_frames: int = 32
    device: str = "cpu"


@dataclass
class LPIPSConfig:
    """See `toraeval.metrics.lpips.LPIPS`."""

    name: str = "lpips"
    backbone: str = "shapes"
    weights: str | None = None
    implementation: str = "own"
    max_frames: int = 16
    device: str = "cpu"


@dataclass
class FIDConfig:
    """See `toraeval.metrics.fid.FID`."""

    name: str = "fid"
    backbone: str = "efficientnet_lite0"
    weights: str | None = None
    max_frames: int = 15
    min_videos: int = 8
    resamples: int = 50
    device: str = "cpu"
    cache: str | None = None


@dataclass
class ClassKeptConfig:
    """See `toraeval.metrics.class_kept.ClassKept`."""

    name: str = "class_kept"
    backbone: str = "efficientnet_lite0"
    weights: str | None = None
    max_frames: int = 15
    device: str = "cpu"
    cache: str | None = None
