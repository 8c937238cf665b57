"""A folder of videos with captions as training clips: cut in time, resized, cropped, with optical flow.

Two layouts: `videos/*.mp4` with `labels/*.txt` of the same names, whose first line is the caption (as in alibaba/Tora
9a23dce, `sat/data_video.py`), or a file `metadata.csv` or `metadata.jsonl` with columns `path` and `caption`.

Legend of the shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from toraeval.allowed import COUNT, NOT_NEGATIVE, POSITIVE, check_options
from toraeval.geometry import CoverCrop, cover_crop
from toraeval.inputs.text_files import csv_rows, exists, is_folder, jsonl_rows, read_text, shown, split_lines
from toraeval.models.shared.flow_colour import Float32Array
from toraeval.models.tora.conditions.flow_sampling import with_zero_frame
from toraeval.store import keys
from toraeval.training.data.buckets import VideoSize
from toraeval.training.data.clips import ClipSource, TrainingClip
from toraeval.training.data.flow_estimation import FlowCache, build_estimator, given_flow
from toraeval.types import ByteArray, UserError, Video
from toraeval.video import has_video_suffix, probe_video, read_video

RESIZE = {"area": cv2.INTER_AREA, "bicubic": cv2.INTER_CUBIC}
SHORT = ("refuse", "repeat")
TABLES = ("metadata.csv", "metadata.jsonl")
GIVEN = "given"


@dataclass(frozen=True)
class FolderVideo:
    """One video that can be read."""

    path: Path
    caption: str
    # as the file's header states them
    frames: int
    height: int
    width: int
    fps: float
    bytes: int  # size of the file


@dataclass(frozen=True)
class CutRules:
    """How clips are cut out of videos.

    Attributes:
        frame_interval: every how many frames of the file one is taken; ignored where `fps` is given.
        fps: wanted rate; the interval is then chosen per video, the nearest that is possible.
        skip_first, skip_last: frames of the file left out at its ends (upstream skips 3).
        resize: `area` or `bicubic`, for the smallest size that covers the clip; the rest is cropped at the centre.
        short: what to do with videos shorter than a clip: `refuse`, or `repeat` the last frame as upstream does.

    Raises:
        UserError: a value outside its range.
    """

    frame_interval: int = 1
    fps: float | None = None
    skip_first: int = 0
    skip_last: int = 0
    resize: str = "area"
    short: str = "refuse"

    def __post_init__(self) -> None:
        check_options("videos", self, frame_interval=COUNT, skip_first=NOT_NEGATIVE, skip_last=NOT_NEGATIVE)
        check_options("videos", self, fps=POSITIVE, resize=RESIZE, short=SHORT)

    def interval(self, fps: float) -> int:
        """Return the frame interval for a video of this rate."""
        return self.frame_interval if self.fps is None else max(1, round(fps / self.fps))


class VideoFolder(ClipSource):
    """Videos of a folder as a source of training clips.

    Every file's header is read once, here. `skipped` lists (file, reason) of those that cannot be used.

    Args:
        path: the folder, see the module's text.
        flow_estimator: `dis`, `raft`, `given` (files beside the videos) or None for clips without flow.
        rules: how clips are cut.
        flow_cache: folder where estimated flow is kept; None estimates it every time.
        flow_options: options of the estimator, e.g. `weights` and `device` of `raft`.

    Raises:
        UserError: no such folder, an unknown layout or estimator, `given` with a frame interval, or no usable video.
    """

    def __init__(
        self,
        path: str | Path,
        flow_estimator: str | None = "dis",
        rules: CutRules | None = None,
        flow_cache: str | Path | None = None,
        **flow_options: Any,
    ) -> None:
        self.path, self.rules = Path(path), rules or CutRules()
        self.entries: list[FolderVideo] = []
        self.skipped: list[tuple[Path, str]] = []
        self.flow_estimator = flow_estimator
        if flow_estimator == GIVEN and (self.rules.frame_interval != 1 or self.rules.fps is not None):
            raise UserError(
                "videos: flow_estimator=given fits neighbouring frames only; allowed: frame_interval=1"
            )
        self._flow = (
            None
            if flow_estimator in (None, GIVEN)
            else FlowCache(build_estimator(str(flow_estimator), **flow_options), flow_cache)
        )
        for file, caption in _listed(self.path):
            try:
                self.entries.append(_probed(file, caption))
            except UserError as error:
                self.skipped.append((file, str(error)))
        if not self.entries:
            first = f"; the first: {self.skipped[0][1]}" if self.skipped else ""
            raise UserError(f"{self.path}: no usable video among {len(self.skipped)}{first}")
        self.captions = [entry.caption for entry in self.entries]
        self.sizes = [VideoSize(self._longest(e, e.frames), e.height, e.width) for e in self.entries]

    def clip(
        self, index: int, frames: int, height: int, width: int, generator: torch.Generator
    ) -> TrainingClip:
        entry = self.entries[index]
        video = read_video(entry.path)
        longest = self._longest(entry, video.num_frames)
        if (longest < frames and self.rules.short == "refuse") or longest < 1:
            raise UserError(
                f"{entry.path}: {video.num_frames} frames give clips of up to {longest}, not {frames}; "
                "choose shorter clips, a smaller interval or skip, or short=repeat"
            )
        interval = self.rules.interval(entry.fps)
        span = (min(frames, longest) - 1) * interval + 1
        room = video.num_frames - self.rules.skip_first - self.rules.skip_last - span
        start = self.rules.skip_first + int(torch.randint(room + 1, (), generator=generator))
        picks = start + interval * np.minimum(np.arange(frames), longest - 1)
        crop = cover_crop((video.width, video.height), (width, height))
        thwc = np.stack([self._resized(video.thwc[t], crop) for t in picks])
        fps = video.fps / interval
        flow = self._flow_of(entry, Video.from_thwc(thwc, fps), picks, video, crop)
        return TrainingClip(np.ascontiguousarray(thwc.transpose(0, 3, 1, 2)), flow, entry.caption, fps)

    def fingerprint(self) -> dict[str, Any]:
        files = [(str(e.path.relative_to(self.path)), e.bytes, e.frames, e.caption) for e in self.entries]
        flow = self._flow.fingerprint() if self._flow else {"flow": self.flow_estimator}
        return {
            "data": "videos",
            "videos": len(files),
            "files": keys.digest(files),
            **keys.plain(self.rules),
            **flow,
        }

    def _longest(self, entry: FolderVideo, frames: int) -> int:
        usable = frames - self.rules.skip_first - self.rules.skip_last
        return max(0, (usable - 1) // self.rules.interval(entry.fps) + 1)

    def _resized(self, picture_HWC: ByteArray, crop: CoverCrop) -> ByteArray:
        scaled = cv2.resize(
            np.ascontiguousarray(picture_HWC), crop.scaled, interpolation=RESIZE[self.rules.resize]
        )
        left, top, right, bottom = crop.box
        return scaled[top:bottom, left:right]

    def _flow_of(
        self, entry: FolderVideo, clip: Video, picks: np.ndarray, source: Video, crop: CoverCrop
    ) -> Float32Array | None:
        if self.flow_estimator is None:
            return None
        if clip.num_frames == 1:
            return np.zeros((1, clip.height, clip.width, 2), np.float32)
        if self._flow is not None:
            return with_zero_frame(self._flow.flow(clip))
        stored = given_flow(entry.path)
        if stored.shape != (source.num_frames - 1, source.height, source.width, 2):
            raise UserError(
                f"{entry.path}: flow of shape {stored.shape} beside {source.num_frames} frames of "
                f"{source.width}x{source.height}; allowed: {(source.num_frames - 1, source.height, source.width, 2)}"
            )
        factors = np.divide(crop.scaled, crop.source).astype(np.float32)
        left, top, right, bottom = crop.box
        pairs = np.zeros((clip.num_frames - 1, clip.height, clip.width, 2), np.float32)
        for pair, (before, after) in zip(pairs, pairwise(picks), strict=True):
            if before != after:  # a repeated last frame does not move
                scaled = cv2.resize(
                    np.asarray(stored[before], np.float32), crop.scaled, interpolation=cv2.INTER_AREA
                )
                pair[:] = scaled[top:bottom, left:right] * factors
        return with_zero_frame(pairs)


def _probed(file: Path, caption: str) -> FolderVideo:
    if not exists(file):
        raise UserError(f"{shown(file)}: no such video")
    if not caption:
        raise UserError(f"{file}: no caption")
    header = probe_video(file)
    if header.header_frames and header.fps:
        frames, fps = header.header_frames, header.fps
    else:
        video = read_video(file)
        frames, fps = video.num_frames, video.fps
    return FolderVideo(file, caption, frames, header.height, header.width, fps, file.stat().st_size)


def _listed(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the videos in order with their captions, empty where one is missing."""
    if not is_folder(folder):
        raise UserError(f"{shown(folder)}: no such folder of videos")
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(tables) > 1:
        raise UserError(f"{folder} has {' and '.join(path.name for path in tables)}; keep one")
    if tables:
        yield from _tabled(folder, tables[0])
        return
    videos = folder / "videos"
    if not videos.is_dir():
        raise UserError(
            f"{folder}: unknown layout; allowed: videos/*.mp4 with labels/*.txt, or metadata.csv or metadata.jsonl "
            "with columns path,caption"
        )
    for file in sorted(p for p in videos.iterdir() if has_video_suffix(p)):
        label = folder / "labels" / f"{file.stem}.txt"
        text = read_text(label).strip() if label.is_file() else ""
        yield file, " ".join(split_lines(text)[0].split()) if text else ""


def _tabled(folder: Path, table: Path) -> Iterator[tuple[Path, str]]:
    """Yield the videos of a table with their captions.

    Raises:
        UserError: a row without path or caption, or with surplus cells.
    """
    rows: Iterator[tuple[int, Any]] = csv_rows(table) if table.suffix == ".csv" else jsonl_rows(table)
    for number, row in rows:
        path, caption = (row.get(key) if isinstance(row, dict) else None for key in ("path", "caption"))
        if not isinstance(path, str) or not path.strip() or not isinstance(caption, str):
            raise UserError(f"{table}:{number}: has no path and caption; needed are columns path,caption")
        # One line without U+2028 and the like: captions are kept one a line.
        yield folder / path.strip(), " ".join(caption.split())
