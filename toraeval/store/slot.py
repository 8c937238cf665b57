"""Run folders: atomic files, one slot per sample, and what each slot already holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.store.keys import current_sha256, file_sha256, plain
from toraeval.store.sealed import (
    Damaged,
    is_whole,
    read_arrays,
    read_json,
    report,
    require_arrays,
    require_json,
    sweep,
    write_arrays,
    write_json,
    write_text,
)
from toraeval.types import Case, Score, Tracks, UserError, Video
from toraeval.video import read_video, write_lossless, write_preview

VIDEO, PREVIEW, VIDEO_META = "video.mkv", "preview.mp4", "video.json"
TRACKS, SCORE, SCORE_ARRAYS = "tracks.npz", "score.json", "score.npz"
FAILURE, TRACEBACK = "failure.json", "traceback.txt"
SET_SCORES = "set_scores.json"
WRITING_S = 600.0  # writing a file of a sample takes less
KEPT: dict[str, tuple[str, ...]] = {"lossless": (VIDEO, PREVIEW), "preview": (PREVIEW,), "none": ()}
"""The video files of a finished sample, by the value of `keep`."""


def sample_id(case: str, seed: int) -> str:
    """Return the folder name of a sample: the case id for seed 0, `<case>.seed<k>` otherwise."""
    return case if seed == 0 else f"{case}.seed{seed}"


@dataclass(frozen=True)
class Slot:
    """The folder of one sample. A file counts only when its metadata carries the expected key."""

    folder: Path

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
        return file_sha256(write_lossless(video, self.folder / VIDEO))

    def save_preview(self, video: Video) -> dict[str, Any]:
        """Write the preview; returns its size, by how much odd sides were padded, and the SHA-256 of the file."""
        facts = write_preview(video, self.folder / PREVIEW)
        return {**facts, "sha256": file_sha256(self.folder / PREVIEW)}

    def has(self, name: str) -> bool:
        """Return True if a video file, `VIDEO` or `PREVIEW`, is there as `video.json` knows it."""
        sha256 = _file_hashes(self.video_meta() or {})[name]
        return sha256 is not None and is_whole(self.folder / name, sha256)

    def video_file(self) -> Path | None:
        """Return the video that was kept, the lossless one if there are two, or None.

        Raises:
            Damaged: it is not the file that was written.
        """
        found = next((path for path in (self.folder / VIDEO, self.folder / PREVIEW) if path.is_file()), None)
        if found is None:
            return None
        hashes = _file_hashes(require_json(self.folder / VIDEO_META) or {})
        if current_sha256(found) != hashes[found.name]:
            raise Damaged(f"{found} differs from its checksum")
        return found

    def load_video(self, sha256: str) -> Video | None:
        """Return the lossless video, or None if it is absent, damaged, or of other frames than `sha256`."""
        meta = self.video_meta()
        if meta is None or meta["sha256"] != sha256 or not self.has(VIDEO):
            return None
        try:
            return read_video(self.folder / VIDEO)
        except UserError:
            return None

    def trim(self, keep: str) -> int:
        """Delete the video files that `keep` does not want; returns how many there were."""
        found = [
            path for name in {VIDEO, PREVIEW}.difference(KEPT[keep]) if (path := self.folder / name).is_file()
        ]
        for path in found:
            path.unlink()
        return len(found)

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
        write_arrays(self.folder / TRACKS, arrays)

    def tracks_meta(self) -> dict[str, Any] | None:
        """Return key, video_sha256, seconds and tracker of the stored tracks, or None if there are none."""
        found = read_arrays(self.folder / TRACKS, "meta")
        return json.loads(str(found[""])) if found else None

    def load_tracks(self, key: str) -> Tracks | None:
        """Return the stored tracks, or None if there are none or their key differs."""
        arrays = read_arrays(self.folder / TRACKS) or {}
        meta = json.loads(str(arrays.get("meta", "{}")))
        if meta.get("key") != key:
            return None
        return Tracks(
            arrays["tracks_NT2"], arrays["visible_NT"], arrays.get("confidence_NT"), meta.get("tracker", {})
        )

    def require_tracks(self, video_sha256: str | None) -> dict[str, Any]:
        """Return the arrays of the tracks and of the paths that were asked for.

        Raises:
            Damaged: there are none, they are not what was written, or are of another video.
        """
        arrays = require_arrays(self.folder / TRACKS)
        if arrays is None:
            raise Damaged(f"{self.folder}: no tracks")
        if json.loads(str(arrays["meta"]))["video_sha256"] != video_sha256:
            raise Damaged(f"{self.folder / TRACKS} belongs to another video")
        return arrays

    def score_file(self) -> dict[str, Any]:
        """Return `score.json`: facts, metrics, seconds; with `damaged`, and no metrics, if it cannot be believed."""
        path, arrays = self.folder / SCORE, self.folder / SCORE_ARRAYS
        stored = read_json(path)
        if stored is None:
            return {"metrics": {}, "damaged": path.exists()}
        if is_whole(arrays, str(stored.get("arrays_sha256"))):
            return stored
        if not arrays.exists():
            report(Damaged(f"{arrays}, which {SCORE} belongs to, is missing"))
        return {**stored, "metrics": {}, "damaged": True}

    def scores(self) -> dict[str, dict[str, Any]]:
        """Return the stored metrics: name -> {key, version, values, skipped}; none if their arrays are not there."""
        return dict(self.score_file()["metrics"])

    def save_scores(
        self, fresh: Mapping[str, tuple[str, Score]], facts: Mapping[str, Any], seconds: float
    ) -> None:
        """Merge freshly computed scores (name -> key, score) into `score.npz`, then `score.json`."""
        metrics = self.scores()
        arrays = read_arrays(self.folder / SCORE_ARRAYS) or {}
        for name, (key, score) in fresh.items():
            values = {k: float(v) for k, v in score.values.items() if np.isfinite(v)}
            metrics[name] = {"key": key, "version": score.version, "values": values, "skipped": score.skipped}
            arrays = {k: v for k, v in arrays.items() if not k.startswith(f"{name}/")}
            arrays |= {f"{name}/{k}": np.asarray(v) for k, v in score.arrays.items()}
        write_arrays(self.folder / SCORE_ARRAYS, arrays)
        content = {"facts": dict(facts), "metrics": metrics, "seconds": seconds}
        write_json(
            self.folder / SCORE, {**content, "arrays_sha256": current_sha256(self.folder / SCORE_ARRAYS)}
        )

    def require_score_arrays(self, scored: bool) -> dict[str, Any]:
        """Return the arrays of every metric, named `<metric>/<array>`; none where neither they nor scores are expected.

        Raises:
            Damaged: they are not what was written, of another sample, or absent although the sample was `scored`.
        """
        path = self.folder / SCORE_ARRAYS
        stored, arrays = require_json(self.folder / SCORE), require_arrays(path)
        if arrays is None and stored is None and not scored:
            return {}
        if arrays is None or stored is None:
            raise Damaged(f"{self.folder}: {SCORE} or {SCORE_ARRAYS} is missing")
        if current_sha256(path) != stored.get("arrays_sha256"):
            raise Damaged(f"{path} is not the file that {SCORE} belongs to")
        if stored["facts"]["sample"] != self.folder.name:
            raise Damaged(f"{self.folder / SCORE} belongs to the sample {stored['facts']['sample']}")
        return arrays

    def score_arrays(self, metric: str) -> dict[str, Any]:
        """Return the arrays that one metric stored, by their own names."""
        return read_arrays(self.folder / SCORE_ARRAYS, f"{metric}/") or {}

    def failure(self) -> dict[str, Any] | None:
        """Return why the sample failed, or None; a damaged file still says that it did."""
        try:
            return require_json(self.folder / FAILURE)
        except Damaged as error:
            return {"error": str(error)}

    def save_failure(self, facts: Mapping[str, Any], error: str, traceback: str) -> None:
        write_text(self.folder / TRACEBACK, traceback)
        write_json(self.folder / FAILURE, {"facts": dict(facts), "error": error, "traceback": TRACEBACK})

    def clear_failure(self) -> None:
        (self.folder / FAILURE).unlink(missing_ok=True)
        (self.folder / TRACEBACK).unlink(missing_ok=True)


@dataclass(frozen=True)
class RunStore:
    """The folder of one run, with one folder per sample."""

    run_dir: Path

    def slot(self, sample: str) -> Slot:
        return Slot(self.run_dir / "cases" / sample)

    def slots(self) -> Iterator[Slot]:
        """Yield every slot on disk, in the order of their names."""
        for folder in sorted(self.run_dir.glob("cases/*")):
            if folder.is_dir():
                yield Slot(folder)

    def require_checksums(self) -> None:
        """Check that the clips here were made by a version that wrote checksums; making them again may be expensive.

        Raises:
            UserError: they were not.
        """
        for path in sorted(self.run_dir.glob(f"cases/*/{VIDEO_META}")):
            if _is_former(path):
                raise UserError(
                    f"{path} is of a version that wrote no checksums, so nothing shows whether it is whole; remove "
                    f"{self.run_dir} or give another folder with results=DIR and everything is made again, or take "
                    "what is there as it is with `python -m benchmarks.seal_store DIR` in a checkout"
                )

    def sweep(self) -> None:
        """Remove temporary files that a killed process left behind; call it while holding the lock.

        Those of samples stay for a while: another process may be writing them. Whoever claims a sample removes them.
        """
        sweep(self.run_dir)
        for folder in self.run_dir.glob("cases/*"):
            sweep(folder, WRITING_S)


def _file_hashes(meta: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the hashes of the files that `video.json` describes."""
    return {VIDEO: meta.get("lossless_sha256"), PREVIEW: (meta.get("preview") or {}).get("sha256")}


FORMER_META = frozenset(
    {
        "key", "sha256", "frames", "generated", "length_mode", "reading", "height", "width", "fps", "seed", "prompt",
        "prompt_sent", "seconds", "info", "facts", "preview", "lossless_sha256",
    }
)  # fmt: skip
"""Entries of `video.json` before it had a checksum."""


def _is_former(path: Path) -> bool:
    try:
        meta = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    # damage to a checksum leaves an entry that is none of these
    return isinstance(meta, dict) and {"key", "sha256"} <= meta.keys() <= FORMER_META
