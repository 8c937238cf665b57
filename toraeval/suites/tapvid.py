"""TAP-Vid (DAVIS, RGB-Stacking, Kinetics) and RoboTAP: real clips with points tracked by people.

Layout and query modes: google-deepmind/tapnet@c2cbab8, `tapnet/tapvid/evaluation_datasets.py`. A query of a later frame
becomes a case of its own that begins there; what lies before a query, which `strided` also scores there, is not asked.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from toraeval.inputs.text_files import is_folder
from toraeval.suites.shared.imported import ClipOnDisk, ImportedSuite
from toraeval.suites.shared.points import choose_points, require_points
from toraeval.trajectories import PathReading, read_paths
from toraeval.trajectories.checks import MIN_POINTS
from toraeval.trajectories.formats import PathFile, tapvid
from toraeval.trajectories.formats.arrays import hidden_flags, objects_first
from toraeval.trajectories.formats.source import PICKLE_SUFFIXES
from toraeval.trajectories.reading import ClipFacts
from toraeval.types import ByteArray, Case, Trajectories, UserError, Video, counted

STRIDE, FPS = 5, 25.0


class TAPVid(ImportedSuite):
    """Clips of TAP-Vid's files: with `model=ground_truth` a tracker is measured on them, by `metric=tapvid`.

    Args:
        path: a `.pkl` file, or a folder of them (RoboTAP's splits, Kinetics' shards).
        query: `first`: every point from the first frame it is visible in; `strided`: from every fifth frame.
        scale: `tapnet`: x = u * width - 0.5; `cotracker`: x = u * (width - 1). It moves AJ by several points.
        points: at most this many points of each query frame.
        length: `native`: every case has the length of its clip from the query on, as published; `requested`: that of
            the run, where the clip's frames fall on it.
        allow_missing: leave out damaged items and say so.

    Raises:
        UserError: no such file, damaged data, or an unknown option.
    """

    name = "tapvid"
    licence = "CC BY 4.0 (annotations; RGB-Stacking and RoboTAP: clips too)"
    native = "24 to 250 frames, scored at 256x256"
    native_size = (24, 256, 256)
    layout = "tapvid_davis.pkl, tapvid_rgb_stacking.pkl, robotap_split*.pkl or the shards of Kinetics"
    choices: ClassVar = {
        "query": ("first", "strided"),
        "scale": ("tapnet", "cotracker"),
        "length": ("native", "requested"),
    }
    squeezed = True

    def __init__(
        self,
        path: str,
        query: str = "first",
        scale: str = "tapnet",
        points: int = 256,
        length: str = "native",
        allow_missing: bool = False,
    ) -> None:
        self.query, self.scale, self.points = query, scale, require_points(self.name, points)
        self.length = length
        super().__init__(path, allow_missing, query=query, scale=scale, points=points, length=length)

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Return the cases at one size; at `length=native` each has its own length, which a note says."""
        made = super().cases(frames, height, width, limit)
        if self.length == "native":
            lengths = [case.frames for case in made]
            said = f"cases have the length of their clips, {min(lengths)} to {max(lengths)} frames, not frames={frames}"
            self.notes = (*self.notes, f"suite {self.name}: {said}")
        return made

    def case(self, clip: ClipOnDisk, frames: int, height: int, width: int) -> Case:
        """Return one clip as a case, both sides resized to the frame's as the protocol has it.

        Raises:
            UserError: a damaged file, or no point is visible at the start.
        """
        own = clip.paths().num_frames if self.length == "native" else frames
        return super().case(clip, own, height, width)

    def scan(self) -> list[ClipOnDisk]:
        """Return one clip per item and query frame, named `<item>.f<frame>`."""
        files = [self.path]
        if is_folder(self.path):
            files = sorted(file for file in self.path.iterdir() if file.suffix.lower() in PICKLE_SUFFIXES)
        found = []
        for file in files:
            try:
                if file.suffix.lower() not in PICKLE_SUFFIXES:
                    raise UserError(
                        f"{file.suffix or 'no suffix'}; allowed: {', '.join(PICKLE_SUFFIXES)}, which hold the videos; "
                        "of Kinetics the shards that tapnet's generate_tapvid.py makes of its .csv and the videos"
                    )
                items = tapvid.items(PathFile(file))
            except UserError as error:
                self.problem(file.name, str(error))
                continue
            prefix = f"{file.stem}_" if len(files) > 1 else ""
            for name, item in items.items():
                found += list(self._clips(file, prefix, name, item))
        return found

    def _clips(self, file: Path, prefix: str, name: str, item: Mapping[str, Any]) -> Iterator[ClipOnDisk]:
        label = f"{prefix}{name or file.stem}"
        video = item.get("video")
        frames = len(video) if isinstance(video, list | np.ndarray) else 0
        try:
            points = objects_first(file, item["points"])
            hidden = hidden_flags(file, "occluded", item["occluded"], points)
            if hidden.shape[1] != frames:
                raise UserError(f"occluded {hidden.shape} does not fit a video of {frames} frames")
            _frame(video, 0)
        except UserError as error:
            self.problem(label, str(error))
            return
        starts = [start for start in _starts(~hidden, self.query) if frames - start >= MIN_POINTS]
        if not starts:  # nothing follows a query
            self.problem(
                label,
                f"none of {counted(len(hidden), 'point')} is asked for before the last of {frames} frames",
            )
        for start in starts:
            yield ClipOnDisk(
                name=f"{label}.f{start}",
                prompt="",
                paths=partial(self._paths, file, name, start),
                files=(file,),
                fps=FPS,
                picture=partial(_frame, video, start),
                video=partial(_video, video, start),
                tags={"query": self.query, "query_frame": start},
            )

    def _paths(self, file: Path, name: str, start: int) -> Trajectories:
        every = read_paths(
            file, PathReading(units=self.scale, format="tapvid", prefix=None), ClipFacts(name=name)
        )
        first = np.argmax(every.visible_NT, axis=1)
        due = (first == start) if self.query == "first" else every.visible_NT[:, start]
        chosen = replace(
            every,
            tracks_NT2=every.tracks_NT2[due, start:],
            visible_NT=every.visible_NT[due, start:],
            names=(),
            fps=FPS,
        )
        return choose_points(chosen, self.points)


def _starts(visible_NT: np.ndarray, query: str) -> list[int]:
    """Return the frames in which points are asked for."""
    if query == "first":
        ever = visible_NT.any(axis=1)
        return sorted({int(frame) for frame in np.argmax(visible_NT, axis=1)[ever]})
    return [frame for frame in range(0, visible_NT.shape[1], STRIDE) if visible_NT[:, frame].any()]


def _frame(video: Any, index: int) -> ByteArray:
    """Return one frame, uint8 (H, W, 3), of an array or of a list of JPEG files.

    Raises:
        UserError: it is not a picture.
    """
    frame = video[index]
    if isinstance(frame, bytes):
        try:
            with Image.open(io.BytesIO(frame)) as opened:
                return np.asarray(opened.convert("RGB"))
        except Exception as error:  # Pillow raises many kinds, with addresses of this memory in their text
            raise UserError(
                f"frame {index} of a TAP-Vid video is not a readable picture ({len(frame)} bytes); expected: JPEG"
            ) from error
    picture = np.asarray(frame)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(
            f"frame {index} of a TAP-Vid video: {picture.dtype} {picture.shape}; expected: uint8 (H,W,3)"
        )
    return picture


def _video(video: Any, start: int) -> Video:
    frames = [_frame(video, index) for index in range(start, len(video))]
    if len({frame.shape for frame in frames}) > 1:
        raise UserError("a TAP-Vid video has frames of different sizes")
    return Video.from_thwc(np.stack(frames), FPS, {"source": "tapvid"})
