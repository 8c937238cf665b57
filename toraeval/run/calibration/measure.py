"""Running trackers over calibration clips; every clip's result is kept, so that a run resumes where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import registry
from toraeval.metrics.shared.tapvid_scores import tapvid_metrics, to_raster
from toraeval.run.calibration.conditions import CalibrationClip
from toraeval.store.sealed import read_json, write_json
from toraeval.types import Case, Tracks, Trajectories, UserError

VERSION = "1"
LOST_PX = 16.0  # on the TAP-Vid raster: the largest of its thresholds


def calibrate(
    trackers: Iterable[str],
    clips: Iterable[CalibrationClip],
    cache: Path,
    done: Callable[[str, bool], None] = lambda label, cached: None,
) -> list[dict[str, Any]]:
    """Track every clip with every tracker.

    Args:
        trackers: registry names, or `module:Class`.
        clips: see `conditions.clips`.
        cache: folder of finished results.
        done: called after each clip, with whether its result was there already.

    Returns:
        One row per tracked object: what it is grouped by, and the measured values.

    Raises:
        UserError: an unknown tracker.
        MissingAsset: a tracker's weights are absent.
    """
    built = [registry.build("tracker", {"name": name}) for name in trackers]
    fingerprints = [tracker.fingerprint() for tracker in built]  # all of them, before anything is spent
    if len({t.name for t in built}) < len(built):
        raise UserError(f"calibrate: each tracker once, got {', '.join(t.name for t in built)}")
    rows = []
    for clip in clips:
        for tracker, fingerprint in zip(built, fingerprints, strict=True):
            marks = json.dumps([VERSION, fingerprint, clip.name], sort_keys=True)
            file = cache / tracker.name / f"{hashlib.sha256(marks.encode()).hexdigest()[:24]}.json"
            stored = read_json(file)
            if stored is None:
                stored = {"clip": clip.name, "rows": measure(tracker, clip)}
                write_json(file, stored)
                done(f"{tracker.name} {clip.name}", False)
            else:
                done(f"{tracker.name} {clip.name}", True)
            rows += [{"tracker": tracker.name, **row} for row in stored["rows"]]
    return rows


def measure(tracker: Any, clip: CalibrationClip) -> list[dict[str, Any]]:
    """Return a row per object of one clip: its groups, the number of counted frames, and its values."""
    clip = replace(clip)  # a copy of its own, so that the renderer goes when this returns
    video, target, visible = clip.video(), clip.renderer.tracks_NT2, clip.renderer.visible()
    before = time.perf_counter()
    tracks: Tracks = tracker.track(video, target[:, 0])
    seconds = time.perf_counter() - before
    size = (video.width, video.height)
    path = Trajectories(target, visible, size, video.fps, clip.name)
    case = Case(clip.name, "calibration", "", path, clip.frames, video.height, video.width, video.fps, 0)
    errors = registry.build("metric", {"name": "traj_error"}).score(case, tracks, None).arrays["errors_NT"]
    asked, found = to_raster(target, size), to_raster(tracks.tracks_NT2, size)
    rows = []
    for n, facts in enumerate(clip.facts()):
        one = slice(n, n + 1)
        tapvid = tapvid_metrics([0], asked[one], visible[one], found[one], tracks.visible_NT[one])
        counted = np.flatnonzero(np.isfinite(errors[n]))
        last = counted[-1] if len(counted) else None
        distance = np.linalg.norm(asked[n] - found[n], axis=-1)
        row = {
            **facts,
            "clip": clip.name,
            "points": len(counted),
            "traj_error": _number(errors[n][counted].mean()) if len(counted) else None,
            **{name: _number(tapvid[name]) for name in ("delta_avg", "aj", "oa")},
            "lost": None if last is None else float(distance[last] >= LOST_PX),
            "seconds_per_frame": seconds / video.num_frames,
        }
        rows.append(row)
    return rows


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
