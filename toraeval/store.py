"""Run folders: atomic files, one slot per sample, and what each slot already holds."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import videoio
from toraeval.keys import file_sha256, plain
from toraeval.types import Case, Score, Tracks, UserError, Video
from toraeval.videoio import TEMPORARY

VIDEO, PREVIEW, VIDEO_META = "video.mkv", "preview.mp4", "video.json"
TRACKS, SCORE, SCORE_ARRAYS = "tracks.npz", "score.json", "score.npz"
FAILURE, TRACEBACK = "failure.json", "traceback.txt"
SET_SCORES = "set_scores.json"


def atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; keys stay in the given order."""
    write_text(path, json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if it is absent or unreadable."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def sample_id(case: str, seed: int) -> str:
    """Return the folder name of a sample: the case id for seed 0, `<case>.seed<k>` otherwise."""
    return case if seed == 0 else f"{case}.seed{seed}"


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems cannot sync folders
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


@dataclass(frozen=True)
class StoredTracks:
    """Tracks as read back, with the key they were stored under."""

    tracks: Tracks
    key: str
    seconds: float


class Slot:
    """The folder of one sample. A file counts only when its metadata carries the expected key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def video_meta(self, key: str | None = None) -> dict[str, Any] | None:
        """Return `video.json`, or None if there is none or its key differs."""
        meta = read_json(self.folder / VIDEO_META)
        if meta is None or "sha256" not in meta or (key is not None and meta.get("key") != key):
            return None
        return meta

    def save_video_meta(self, meta: Mapping[str, Any]) -> None:
        write_json(self.folder / VIDEO_META, meta)

    def save_lossless(self, video: Video) -> str:
        """Write the exact frames and return the SHA-256 of the file."""
        return file_sha256(videoio.write_lossless(video, self.folder / VIDEO))

    def save_preview(self, video: Video) -> Mapping[str, Any]:
        """Write the preview; returns its size and by how much odd sides were padded."""
        return videoio.write_preview(video, self.folder / PREVIEW)

    def has_lossless(self) -> bool:
        return (self.folder / VIDEO).is_file()

    def has_preview(self) -> bool:
        return (self.folder / PREVIEW).is_file()

    def load_video(self, sha256: str) -> Video | None:
        """Return the lossless video, or None if it is absent or its frames do not hash to `sha256`.

        A file with the bytes it was written with (`lossless_sha256` in `video.json`) is not hashed frame by frame:
        the packed file is a tenth of its frames.
        """
        if not self.has_lossless():
            return None
        meta = self.video_meta() or {}
        written = meta.get("lossless_sha256") if meta.get("sha256") == sha256 else None
        try:
            video = videoio.read(self.folder / VIDEO)
        except UserError:
            return None
        known = written is not None and file_sha256(self.folder / VIDEO) == written
        return video if known or videoio.video_sha256(video) == sha256 else None

    def trim(self, keep: str) -> None:
        """Delete the video files that `keep` (lossless, preview or none) does not want."""
        if keep != "lossless":
            (self.folder / VIDEO).unlink(missing_ok=True)
        if keep == "none":
            (self.folder / PREVIEW).unlink(missing_ok=True)

    def save_tracks(self, case: Case, tracks: Tracks, key: str, video_sha256: str, seconds: float) -> None:
        meta = {"key": key, "video_sha256": video_sha256, "seconds": seconds, "tracker": plain(tracks.info)}
        arrays: dict[str, Any] = {
            "target_NT2": case.trajectories.tracks_NT2,
            "target_visible_NT": case.trajectories.visible_NT,
            "tracks_NT2": np.asarray(tracks.tracks_NT2, dtype=np.float64),
            "visible_NT": np.asarray(tracks.visible_NT, dtype=bool),
            "meta": np.array(json.dumps(meta)),
        }
        if tracks.confidence_NT is not None:
            arrays["confidence_NT"] = np.asarray(tracks.confidence_NT, dtype=np.float64)
        atomic(self.folder / TRACKS, lambda path: _savez(path, arrays))

    def load_tracks(self, key: str | None = None) -> StoredTracks | None:
        """Return the stored tracks, or None if there are none or their key differs."""
        arrays = _loadz(self.folder / TRACKS)
        if arrays is None or "meta" not in arrays:
            return None
        meta = json.loads(str(arrays["meta"]))
        if key is not None and meta["key"] != key:
            return None
        tracks = Tracks(
            arrays["tracks_NT2"], arrays["visible_NT"], arrays.get("confidence_NT"), meta.get("tracker", {})
        )
        return StoredTracks(tracks, meta["key"], float(meta["seconds"]))

    def track_seconds(self) -> float | None:
        stored = _loadz(self.folder / TRACKS, "meta") or {}
        return float(json.loads(str(stored[""]))["seconds"]) if "" in stored else None

    def scores(self) -> dict[str, dict[str, Any]]:
        """Return the stored metrics: name -> {key, version, values, skipped}."""
        stored = read_json(self.folder / SCORE)
        metrics = stored.get("metrics", {}) if stored else {}
        return metrics if isinstance(metrics, dict) else {}

    def save_scores(
        self, fresh: Mapping[str, tuple[str, Score]], facts: Mapping[str, Any], seconds: float
    ) -> None:
        """Merge freshly computed scores (name -> key, score) into `score.npz`, then `score.json`."""
        metrics = self.scores()
        arrays = _loadz(self.folder / SCORE_ARRAYS) or {}
        for name, (key, score) in fresh.items():
            values = {k: float(v) for k, v in score.values.items() if np.isfinite(v)}
            metrics[name] = {"key": key, "version": score.version, "values": values, "skipped": score.skipped}
            arrays = {k: v for k, v in arrays.items() if not k.startswith(f"{name}/")}
            arrays |= {f"{name}/{k}": np.asarray(v) for k, v in score.arrays.items()}
        atomic(self.folder / SCORE_ARRAYS, lambda path: _savez(path, arrays))
        write_json(self.folder / SCORE, {"facts": dict(facts), "metrics": metrics, "seconds": seconds})

    def score_arrays(self, metric: str) -> dict[str, Any]:
        """Return the arrays that one metric stored, by their own names."""
        return _loadz(self.folder / SCORE_ARRAYS, f"{metric}/") or {}

    def facts(self) -> dict[str, Any] | None:
        """Return what identifies the sample, from whichever file holds it."""
        for name in (FAILURE, SCORE, VIDEO_META):
            stored = read_json(self.folder / name)
            if stored and isinstance(stored.get("facts"), dict):
                return dict(stored["facts"])
        return None

    def failure(self) -> dict[str, Any] | None:
        return read_json(self.folder / FAILURE)

    def save_failure(self, facts: Mapping[str, Any], error: str, traceback: str) -> None:
        write_text(self.folder / TRACEBACK, traceback)
        write_json(self.folder / FAILURE, {"facts": dict(facts), "error": error, "traceback": TRACEBACK})

    def clear_failure(self) -> None:
        (self.folder / FAILURE).unlink(missing_ok=True)
        (self.folder / TRACEBACK).unlink(missing_ok=True)


class RunStore:
    """The folder of one run."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    def slot(self, case: str, seed: int) -> Slot:
        return Slot(self.run_dir / "cases" / sample_id(case, seed))

    def slots(self) -> Iterator[Slot]:
        """Yield every slot on disk, in the order of their names."""
        for folder in sorted((self.run_dir / "cases").glob("*")):
            if folder.is_dir():
                yield Slot(folder)

    def sweep(self) -> None:
        """Remove temporary files that a killed process left behind; call it while holding the lock."""
        for pattern in (f"{TEMPORARY}*", f"cases/*/{TEMPORARY}*"):
            for path in self.run_dir.glob(pattern):
                path.unlink(missing_ok=True)


def _savez(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _loadz(path: Path, prefix: str = "") -> dict[str, Any] | None:
    """Return the arrays of an .npz file whose names begin with `prefix`, without it."""
    try:
        # opened here, because np.load leaves a damaged file open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {
                name.removeprefix(prefix): stored[name] for name in stored.files if name.startswith(prefix)
            }
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None  # an unreadable file is a missing one: it is made again
