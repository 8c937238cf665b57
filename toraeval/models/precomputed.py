"""Videos that exist already: a folder of any method's clips enters the same table as the models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from toraeval import videoio
from toraeval.keys import file_sha256
from toraeval.registry import unknown
from toraeval.store import sample_id
from toraeval.types import Case, UserError, Video

SUFFIXES = (".mkv", ".mp4", ".mov", ".webm", ".avi", ".m4v", ".gif")
MANIFEST = "manifest.json"
FRAMES = "{frames}"


class Precomputed:
    """Clips named by case id (`<case>.mp4`, `<case>.seed1.mp4`), or listed in `manifest.json` as `{id: file}`.

    Args:
        videos: the folder; `{frames}` in it stands for the length, e.g. `clips/{frames}` for a bench of several.
        label: name in tables; the folder's name by default.
        cut: take the first frames of a clip that is longer than asked. Clips are never stretched, padded or
            resized.

    Raises:
        UserError: the folder is absent, holds no video, or its manifest is malformed.
    """

    name = "precomputed"
    version = "1"

    def __init__(self, videos: str, label: str | None = None, cut: bool = False) -> None:
        self.videos, self.cut = videos, cut
        self._folders: dict[Path, dict[str, Path]] = {}
        one_folder = FRAMES not in videos
        if one_folder:
            self._clips(0)
        self.label = label or Path(videos.split(FRAMES)[0]).resolve().name

    @classmethod
    def of_files(cls, files: Mapping[str, Path], label: str, cut: bool = False) -> Precomputed:
        """Return a generator over given files, by sample id."""
        made = cls.__new__(cls)
        made.videos, made.label, made.cut = "", label, cut
        made._folders = {Path(): dict(files)}
        return made

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse a length for which there is no folder with clips.

        Raises:
            UserError: the folder is absent, holds no video, or its manifest is malformed.
        """
        self._clips(frames)

    def _clips(self, frames: int) -> dict[str, Path]:
        folder = Path(self.videos.replace(FRAMES, str(frames)))
        if folder not in self._folders:
            if not folder.is_dir():
                raise UserError(f"model precomputed: {folder} is no folder; give one with model.videos=DIR")
            found = _listed(folder) or _found(folder)
            if not found:
                raise UserError(f"model precomputed: no video in {folder}; allowed: {', '.join(SUFFIXES)}")
            self._folders[folder] = found
        return self._folders[folder]

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, label and rule; `case_fingerprint` covers the files."""
        return {"model": self.name, "version": self.version, "label": self.label, "cut": self.cut}

    def case_fingerprint(self, case: Case) -> dict[str, Any]:
        """Return the hash of the case's files, one per seed, so that a replaced file is read again."""
        prefix = f"{case.id}.seed"
        files = self._clips(case.frames)
        mine = {name: path for name, path in files.items() if name == case.id or name.startswith(prefix)}
        return {name: file_sha256(path) if path.is_file() else None for name, path in sorted(mine.items())}

    def generate(self, case: Case, seed: int) -> Video:
        """Return the clip of the case at its asked length and its own frame rate.

        Raises:
            UserError: no clip for this case and seed, or its length or size differs from what is asked.
        """
        name = sample_id(case.id, seed)
        files = self._clips(case.frames)
        path = files.get(name)
        if path is None:
            raise UserError(f"{self.videos}: {unknown('video', name, files)}")
        video = videoio.read(path)
        length_mode = "exact"
        info = {"file": path.name, "generated": video.num_frames, **dict(video.info)}
        if self.cut and video.num_frames > case.frames:
            video, length_mode = replace(video, frames_TCHW=video.frames_TCHW[: case.frames]), "cut"
        if video.num_frames != case.frames:
            hint = "; model.cut=true takes the first ones" if video.num_frames > case.frames else ""
            raise UserError(f"{path}: has {video.num_frames} frames, asked are {case.frames}{hint}")
        if (video.height, video.width) != (case.height, case.width):
            raise UserError(
                f"{path}: is {video.width}x{video.height}, asked is {case.width}x{case.height}; "
                f"set height={video.height} width={video.width}"
            )
        return replace(video, info={**info, "length_mode": length_mode})


def video_files(folder: Path) -> list[Path]:
    """Return the video files of a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def _found(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in video_files(folder):
        if path.stem in files:
            raise UserError(f"{folder}: {files[path.stem].name} and {path.name} name the same case; keep one")
        files[path.stem] = path
    return files


def _listed(folder: Path) -> dict[str, Path]:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))
        files = {str(name): folder / str(file) for name, file in listed.items()}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{manifest}: expected an object {{case id: file name}} ({error})") from error
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        raise UserError(f"{manifest}: names {missing[0]}, which is not there")
    return files
