"""The plan of `score`: the user's own videos paired with trajectory files; no model takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import geometry, registry
from toraeval.inputs import own_paths, pairing
from toraeval.inputs.clip_listing import look_into
from toraeval.inputs.picture_folder import measure_pictures, picture_files, read_pictures
from toraeval.inputs.text_files import is_file, is_folder, listed, shown
from toraeval.models.precomputed import GivenClips, files_sha256
from toraeval.run.parts import Builder
from toraeval.run.plan import Plan
from toraeval.run.request import options_of, path_notes
from toraeval.store import keys
from toraeval.store.keys import digest, safe_id, short
from toraeval.suites.shared.base import content_hash
from toraeval.trajectories import ClipFacts, PathReading, check_one_canvas
from toraeval.types import Case, Reference, Trajectories, UserError, counted
from toraeval.video import VIDEO_SUFFIXES, VideoFacts, measure_video, read_video
from toraeval.video.decoding import DamagedError

ALIGNMENTS = ("resample", "cut")
REFERENCE_ROWS = ("ground_truth", "static")


@dataclass(frozen=True)
class OwnClip:
    """One clip of the user with what belongs to it.

    Attributes:
        file: video file or folder of pictures.
        paths: its trajectories.
        rule: how these were found.
        reference: the clip that it is compared with, or None.
    """

    file: Path
    paths: own_paths.PathSet
    rule: str
    reference: Path | None = None


def plan_score(config: Mapping[str, Any], builder: Builder | None = None) -> Plan:
    """Make the plan of `score` from its resolved config.

    A video that cannot be read becomes a case that fails with the reader's own message.

    Args:
        config: resolved.
        builder: those that are built already.

    Raises:
        UserError: nothing to pair, pairs that do not fit, or a malformed trajectory file.
    """
    builder = builder or Builder()
    limit = config.get("limit")
    if limit is not None and limit < 1:
        raise UserError(f"limit={limit}: allowed are whole numbers >= 1")
    if config["align"] not in ALIGNMENTS:
        raise UserError(registry.unknown("value of align", str(config["align"]), ALIGNMENTS))
    options = {name: config.get(name) or "auto" for name in ("format", "layout", "units")}
    reading = PathReading(canvas=config.get("canvas"), **options)
    clips, notes = _clips(config)
    identity = {
        "paths": [(name, clip.paths.identity()) for name, clip in clips.items()],
        "references": [files_sha256(clip.reference) for clip in clips.values() if clip.reference],
        "align": config["align"],
        "canvas": keys.plain(reading.canvas),
        **options,
    }
    suite = f"own-{short(digest(identity))}"
    allow_damaged = bool(config.get("allow_damaged"))
    cases, files = [], {}
    for clip in list(clips.values())[:limit]:
        case, said = _case(suite, clip, reading, config["align"], allow_damaged)
        cases.append(case)
        notes += said
        files[case.id] = clip.file
    check_one_canvas(case.trajectories for case in cases)
    source = Path(config["videos"]).resolve()
    label = config.get("label") or safe_id(source.name if source.is_dir() else source.parent.name)
    if label in REFERENCE_ROWS:
        raise UserError(
            f"label={label}: a name of the reference rows of tables; give your clips another one, e.g. label=my_{label}"
        )
    return Plan(
        planner="toraeval.run.own_videos:plan_score",
        config=config,
        options=options_of(config),
        cases=tuple(enumerate(cases)),
        suite_size=len(clips),
        suite_fingerprint={"suite": suite, **identity},
        generator=GivenClips(label, source, files, config["align"] == "cut", allow_damaged),
        tracker=builder.build("tracker", config["tracker"]),
        metrics=builder.metrics(config),
        notes=(*notes, *path_notes(cases)),
    )


def _clips(config: Mapping[str, Any]) -> tuple[dict[str, OwnClip], list[str]]:
    """Return the clips that have paths, by name, and what was paired, assumed and left out, a line each."""
    videos, notes = _listed(Path(config["videos"]), "videos")
    matched = own_paths.match(list(videos), str(config["trajectories"]))
    notes += matched.notes
    references: Mapping[str, Path] = {}
    if config.get("references"):
        references, said = _references(list(videos), Path(config["references"]))
        notes += said
    clips = {
        name: OwnClip(file, matched.pairs[name], matched.rule[name], references.get(name))
        for name, file in videos.items()
        if name in matched.pairs
    }
    return clips, notes


def _listed(source: Path, option: str) -> tuple[Mapping[str, Path], list[str]]:
    """Return the clips of a folder, or the one file, by name; and what else lies there."""
    if is_file(source):
        return {source.stem: source}, []
    if not is_folder(source):
        raise UserError(f"{option}={shown(source)}: no such file or folder")
    found = look_into(source)
    if not found.files and picture_files(source):
        return {source.resolve().name: source}, []
    if not found.files:
        raise UserError(
            f"{option}={source}: no video in this folder{found.described()}; allowed: {', '.join(VIDEO_SUFFIXES)}, "
            "and folders of numbered pictures"
        )
    told = found.described("")
    return found.files, [f"{source.name}/ also holds what is not scored: {told}"] if told else []


def _references(clips: list[str], source: Path) -> tuple[dict[str, Path], list[str]]:
    files, notes = _listed(source, "references")
    if is_file(source):  # of a folder the other files still serve
        try:
            _measured(source)
        except UserError as error:
            raise UserError(f"references: {error}") from None
    found = pairing.pair_names(clips, list(files))
    if not found.partner and len(clips) == len(files) == 1:
        return {clips[0]: next(iter(files.values()))}, notes
    if not found.partner:
        raise UserError(
            f"references={source}: none is named like a clip. Clips: {listed(clips)}. References: "
            f"{listed(list(files))}. Name them alike"
        )
    notes.append(f"clips and references paired: {found.described()}")
    if found.alone:
        notes.append(f"without reference: {listed(found.alone)}")
    if found.left_over:
        notes.append(f"references without clip, not used: {listed(found.left_over)}")
    return {clip: files[name] for clip, name in found.partner.items()}, notes


def _facts(path: Path, allow_damaged: bool = False) -> VideoFacts | None:
    """Return size, length and rate of a clip, or None for one that cannot be read: that is reported in its turn."""
    try:
        return _measured(path, allow_damaged)
    except UserError:
        return None


def _measured(path: Path, allow_damaged: bool = False) -> VideoFacts:
    return measure_pictures(path) if path.is_dir() else measure_video(path, allow_damaged)


def _case(
    suite: str, clip: OwnClip, reading: PathReading, align: str, allow_damaged: bool
) -> tuple[Case, list[str]]:
    video = _facts(clip.file, allow_damaged)
    size = (video.width, video.height) if video else (512, 512)
    name = clip.file.name if clip.file.is_dir() else clip.file.stem
    if video:
        given = clip.paths.read(reading, ClipFacts(size, video.frames, name))
    else:  # the case fails; nothing can be said of its paths
        given = Trajectories(np.zeros((1, 2, 2)), np.ones((1, 2), dtype=bool), size)
    frames = video.frames if video else given.num_frames
    target, how = aligned(geometry.to_canvas(given, *size), frames, align)
    prompt = clip.paths.native.prompt if clip.paths.native else ""
    request = {"frames": target.num_frames, "height": size[1], "width": size[0], "align": align}
    reference, problem, command = None, "", ""
    if clip.reference is not None:
        reference, problem, command = _reference(clip.reference, target.num_frames, size, align)
        request["reference"] = files_sha256(clip.reference) if reference else None
    case = Case(
        id=safe_id(name),
        suite=suite,
        prompt=prompt,
        trajectories=target,
        frames=target.num_frames,
        height=size[1],
        width=size[0],
        fps=video.fps if video else 1.0,
        seed=0,
        tags={
            "paths": clip.paths.name,
            "paths_by": clip.rule,
            "points": given.num_frames,
            "align": how,
            "canvas": list(given.canvas),
            "paths_read": "; ".join(given.notes),
            **({"reference": clip.reference.name} if clip.reference and reference else {}),
        },
        reference=reference,
        content_hash=content_hash(prompt, target, request, None),
        no_reference=problem,
    )
    return case, [f"{name}: {problem}{command}"] if problem else []


def _reference(path: Path, frames: int, size: tuple[int, int], align: str) -> tuple[Any, str, str]:
    """Return what reads the reference clip, or None, why it cannot be compared with, and what else a note says."""
    try:
        facts = _measured(path)
    except UserError as error:
        # allow_damaged, which the error offers for a damaged file, is for clips that are scored
        why = error.__cause__ if isinstance(error.__cause__, DamagedError) else error
        return None, f"the reference {path.name} cannot be read, so nothing is compared with it", f": {why}"
    cures, command = [], ""
    if (facts.width, facts.height) != size:
        cures.append(f"bring the reference to {size[0]}x{size[1]}")
        if not path.is_dir():
            scaled = f"scale={size[0]}:{size[1]} -c:v ffv1 {path.stem}_resized.mkv"
            command = f", e.g. with: ffmpeg -i {path} -vf {scaled}"
    if facts.frames > frames and align != "cut":
        cures.append(f"give align=cut, which takes its first {frames} frames")
    elif facts.frames < frames:
        cures.append("give both the same length")
    if cures:
        problem = (
            f"the reference {path.name} has {counted(facts.frames, 'frame')} of {facts.width}x{facts.height}, the "
            f"clip {frames} of {size[0]}x{size[1]}, so nothing is compared with it; {', and '.join(cures)}"
        )
        return None, problem, command

    def read() -> Reference:
        video = read_pictures(path, facts.fps) if path.is_dir() else read_video(path)
        return Reference(replace(video, frames_TCHW=video.frames_TCHW[:frames]))

    return read, "", ""


def aligned(given: Trajectories, frames: int, align: str) -> tuple[Trajectories, str]:
    """Return paths with as many moments as their clip has frames, fewer where they are cut; and how that was done."""
    if given.num_frames == frames:
        return given, "exact"
    if align == "cut":
        return geometry.cut(given, min(frames, given.num_frames)), "cut"
    return geometry.resample(given, frames), "resampled"
