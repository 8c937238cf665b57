"""Videos and paths as a program holds them, turned into what trackers and metrics take.

Shape legend: B clips, N objects, T frames, C channels, H height, W width.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.inputs.picture_folder import DEFAULT_FPS, read_pictures
from toraeval.metrics.shared.arrays import points
from toraeval.types import Case, Reference, Trajectories, UserError, Video
from toraeval.video import read_video

CLIP = "uint8 RGB (T, 3, H, W) or (T, H, W, 3)"


def as_video(clip: Any, what: str = "video") -> Video:
    """Return a clip as a `Video`.

    Args:
        clip: a `Video`, the path of a file or of a folder of numbered pictures, or uint8 RGB frames (T, 3, H, W) or
            (T, H, W, 3), NumPy or torch on any device.
        what: its name in messages.

    Raises:
        UserError: an array of another type or shape, or a file that cannot be read.
    """
    if isinstance(clip, Video):
        return clip
    if isinstance(clip, str | os.PathLike):
        return read_pictures(Path(clip), DEFAULT_FPS) if Path(clip).is_dir() else read_video(clip)
    frames = np.asarray(clip.detach().cpu() if hasattr(clip, "detach") else clip)
    if frames.dtype != np.uint8:
        raise UserError(
            f"{what}: frames of type {frames.dtype}; allowed: {CLIP}. From floats in 0 to 1: "
            "(frames.clip(0, 1) * 255).round() as uint8"
        )
    first = frames.ndim == 4 and frames.shape[1] == 3
    last = frames.ndim == 4 and frames.shape[3] == 3
    if first == last:
        raise UserError(
            f"{what}: an array of shape {frames.shape}; allowed: {CLIP}, or a toraeval.types.Video"
        )
    return Video(frames, DEFAULT_FPS) if first else Video.from_thwc(frames, DEFAULT_FPS)


def as_videos(clips: Any, what: str = "video") -> list[Video]:
    """Return the clips of a batch: (B, T, 3, H, W) or (B, T, H, W, 3), a list of clips, or one clip."""
    several = isinstance(clips, list | tuple) or getattr(clips, "ndim", 0) == 5
    return [as_video(clip, what) for clip in (clips if several else [clips])]


def as_trajectories(path: Any, size: tuple[int, int]) -> Trajectories:
    """Return paths as `Trajectories`.

    Args:
        path: `Trajectories`, or `(x, y)` pixels of the video, (N, T, 2) or (T, 2), NumPy, torch or nested lists.
        size: `(width, height)` of the video, the canvas of arrays.

    Raises:
        UserError: another shape, or numbers that are not finite.
    """
    if isinstance(path, Trajectories):
        return path
    found = points("path: an array", path)
    return Trajectories(found, np.ones(found.shape[:2], dtype=bool), size, source="path")


def case_of(
    video: Video, target: Trajectories | None = None, prompt: str = "", reference: Video | None = None
) -> Case:
    """Return the case that a clip answers; without paths, one point in the corner stands for them."""
    size = (video.width, video.height)
    return Case(
        id="clip",
        suite="own",
        prompt=prompt,
        trajectories=target or as_trajectories(np.zeros((1, video.num_frames, 2)), size),
        frames=video.num_frames,
        height=video.height,
        width=video.width,
        fps=video.fps,
        seed=0,
        reference=None if reference is None else lambda: Reference(reference),
    )


def pairs(what: str, clips: Sequence[Any], others: Sequence[Any]) -> zip[tuple[Any, Any]]:
    """Return the pairs of two batches.

    Raises:
        UserError: different numbers.
    """
    if len(clips) != len(others):
        raise UserError(f"{what}: {len(clips)} and {len(others)}; allowed: as many of one as of the other")
    return zip(clips, others, strict=True)
