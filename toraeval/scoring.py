"""The plan of `score`: the user's own videos paired with trajectory files; no model takes part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import geometry, keys, registry, textfiles, videoio
from toraeval.keys import digest, short
from toraeval.models.clip_listing import video_files
from toraeval.models.precomputed import Precomputed
from toraeval.plan import Plan, options_of, path_notes
from toraeval.suites.base import content_hash, safe_id
from toraeval.trajectories import (
    SUFFIXES as PATH_SUFFIXES,
)
from toraeval.trajectories import (
    Clip,
    NativeCase,
    Reading,
    case_name,
    check_one_canvas,
    is_companion,
    is_native,
    read_native,
    read_paths,
)
from toraeval.types import Case, Trajectories, UserError

ALIGNMENTS = ("resample", "cut")
_OBJECT = re.compile(r"(?P<id>.+?)\.[0-9]+")


@dataclass(frozen=True)
class Paths:
    """One named set of paths, read only when the size of its video is known.

    Attributes:
        name: case id of a native file, or the file's stem.
        files: the files, one per object, or one for all.
        native: the case of a native file.
    """

    name: str
    files: tuple[Path, ...]
    native: NativeCase | None = None

    def read(self, reading: Reading, clip: Clip) -> Trajectories:
        """Return the paths; a canvas that no file states is settled with the clip's size."""
        if self.native is not None:
            return self.native.trajectories
        return read_paths(self.files, reading, clip)


def plan_score(config: Mapping[str, Any]) -> Plan:
    """Make the plan of `score` from its resolved config.

    A video that cannot be read becomes a case that fails with the reader's own message.

    Raises:
        UserError: nothing to pair, pairs that do not fit, or a malformed trajectory file.
    """
    videos, paths = _videos(Path(config["videos"])), _paths(Path(config["trajectories"]))
    pairs, rule = pair(videos, paths)
    limit = config.get("limit")
    if limit is not None and limit < 1:
        raise UserError(f"limit={limit}: allowed are whole numbers >= 1")
    if config["align"] not in ALIGNMENTS:
        raise UserError(registry.unknown("value of align", str(config["align"]), ALIGNMENTS))
    options = {name: config.get(name) or "auto" for name in ("format", "layout", "units")}
    reading = Reading(canvas=config.get("canvas"), **options)
    allow_damaged = bool(config.get("allow_damaged"))
    cases, files = [], {}
    suite = f"own-{short(digest([(video.stem, unit.name) for video, unit in pairs]))}"
    for video, unit in pairs[:limit]:
        case = _case(suite, video, unit, reading, config["align"], allow_damaged)
        cases.append(case)
        files[case.id] = video
    check_one_canvas(case.trajectories for case in cases)
    source = Path(config["videos"]).resolve()
    label = config.get("label") or safe_id(source.name if source.is_dir() else source.parent.name)
    return Plan(
        model=label,
        suite=suite,
        cases=tuple(enumerate(cases)),
        suite_size=len(pairs),
        frames=0,
        height=0,
        width=0,
        generator=Precomputed.of_files(
            files, label, cut=config["align"] == "cut", allow_damaged=allow_damaged
        ),
        tracker=registry.build("tracker", config["tracker"]),
        metrics={name: registry.build("metric", values) for name, values in config["metrics"].items()},
        suite_fingerprint={"suite": suite, "pairs": rule, "align": config["align"], **keys.plain(reading)},
        options=options_of(config),
        config=config,
        rebuild=("toraeval.scoring:plan_score", config),
        notes=path_notes(cases),
    )


def pair(videos: list[Path], paths: list[Paths]) -> tuple[list[tuple[Path, Paths]], str]:
    """Pair videos with paths, and say by which rule.

    A single set of paths serves every video. Otherwise names decide (`walk.mp4` with `walk.txt` or the native
    case `walk`); when no name fits and there are equally many, sorted order decides.

    Raises:
        UserError: some names fit and others do not, or no name fits and the counts differ.
    """
    if len(paths) == 1:
        return [(video, paths[0]) for video in videos], "one set of paths for all videos"
    by_name = {unit.name: unit for unit in paths}
    unpaired = [video for video in videos if video.stem not in by_name]
    if not unpaired:
        return [(video, by_name[video.stem]) for video in videos], "by name"
    if len(unpaired) == len(videos) and len(videos) == len(paths):
        return list(zip(videos, paths, strict=True)), "in sorted order"
    raise UserError(
        f"score: {len(unpaired)} of {len(videos)} videos have no trajectories: "
        + registry.unknown("trajectory name", unpaired[0].stem, by_name)
        + "; name trajectory files (or cases) like the videos"
    )


def _videos(source: Path) -> list[Path]:
    if textfiles.is_file(source):
        return [source]
    if not textfiles.is_folder(source):
        raise UserError(f"videos={textfiles.shown(source)}: no such file or folder")
    found = video_files(source)
    if not found:
        raise UserError(f"videos={source}: no video in this folder; allowed: {', '.join(videoio.SUFFIXES)}")
    stems = [path.stem for path in found]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice:
        raise UserError(f"videos={source}: several files are named {twice}; keep one of them")
    return found


def _paths(source: Path) -> list[Paths]:
    if textfiles.is_file(source):
        files = [source]
    elif textfiles.is_folder(source):
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in PATH_SUFFIXES)
        files = [path for path in files if not is_companion(path)]
    else:
        raise UserError(f"trajectories={textfiles.shown(source)}: no such file or folder")
    units: list[Paths] = []
    objects: dict[str, list[Path]] = {}
    for path in files:
        if is_native(path):
            units += [Paths(case.id, (path,), case) for case in read_native(path)]
        else:
            name = case_name(path)
            match = _OBJECT.fullmatch(name)
            objects.setdefault(match["id"] if match and source.is_dir() else name, []).append(path)
    units += [Paths(name, tuple(members)) for name, members in objects.items()]
    if not units:
        raise UserError(
            f"trajectories={source}: no trajectory file here; allowed: {', '.join(PATH_SUFFIXES)}"
        )
    return sorted(units, key=lambda unit: unit.name)


def _case(suite: str, path: Path, unit: Paths, reading: Reading, align: str, allow_damaged: bool) -> Case:
    try:
        video: videoio.VideoFacts | None = videoio.measure(path, allow_damaged)
    except UserError:
        video = None  # read again, and reported, when its turn comes
    size = (video.width, video.height) if video else (512, 512)
    if video:
        given = unit.read(reading, Clip(size, video.frames, path.stem))
    else:  # the case fails; nothing can be said of its paths
        given = Trajectories(np.zeros((1, 2, 2)), np.ones((1, 2), dtype=bool), size)
    frames = video.frames if video else given.num_frames
    target, how = _aligned(given.to_canvas(*size), frames, align)
    prompt = unit.native.prompt if unit.native else ""
    request = {"frames": target.num_frames, "height": size[1], "width": size[0], "align": align}
    return Case(
        id=safe_id(path.stem),
        suite=suite,
        prompt=prompt,
        trajectories=target,
        frames=target.num_frames,
        height=size[1],
        width=size[0],
        fps=video.fps if video else 1.0,
        seed=0,
        tags={
            "paths": unit.name,
            "points": given.num_frames,
            "align": how,
            "canvas": list(given.canvas),
            "paths_read": "; ".join(given.notes),
        },
        content_hash=content_hash(prompt, target, request, None),
    )


def _aligned(given: Trajectories, frames: int, align: str) -> tuple[Trajectories, str]:
    if given.num_frames == frames:
        return given, "exact"
    if align == "cut":
        return geometry.cut(given, min(frames, given.num_frames)), "cut"
    return given.to_frames(frames), "resampled"
