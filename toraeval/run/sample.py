"""The three stages of one sample: generate, track, score; each one is skipped when its key matches."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from toraeval.metrics.shared.reference import share_reference
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.store.disk import is_disk_full
from toraeval.store.keys import digest
from toraeval.store.slot import KEPT, PREVIEW, VIDEO, Slot
from toraeval.trackers.shared.base import follow
from toraeval.types import MissingAsset, Score, Tracks, UserError, Video
from toraeval.video import video_sha256

# A clip that took longer than this is on disk before tracking starts, so that a crash does not cost it.
STORE_BEFORE_TRACKING_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """What became of one sample.

    Attributes:
        sample: its id.
        frames: its length.
        computed: stages that ran; empty when everything was cached.
        failed: True if it has a failure row.
        error: one line, empty unless failed.
        exit_code: 0, or what the error asks for: 2 for the user's errors, 1 for anything else.
        broken: True if the error leaves the process of no further use: memory or a GPU gave out.
        peak_mb: memory that its process took so far, if that is a worker.
    """

    sample: str
    frames: int
    computed: tuple[str, ...] = ()
    failed: bool = False
    error: str = ""
    exit_code: int = 0
    broken: bool = False
    peak_mb: int = 0


@dataclass
class Work:
    """One sample at work.

    Attributes:
        plan, sample: what is asked for.
        slot: where it is kept.
        key: of its video.
        computed: the stages that ran.
        video: its frames, once they are made or read.
    """

    plan: Plan
    sample: Sample
    slot: Slot
    key: str
    computed: list[str] = field(default_factory=list)
    video: Video | None = None

    def make(self) -> tuple[Video, float]:
        """Generate the clip; returns it and how many seconds that took.

        Raises:
            UserError: it has another length or size than the case asks for.
        """
        case, generator = self.sample.case, self.plan.ready_generator
        start = time.perf_counter()
        video = generator.generate(case, self.sample.seed)
        seconds = time.perf_counter() - start
        if (video.num_frames, video.height, video.width) != (case.frames, case.height, case.width):
            raise UserError(
                f"case {case.id}: {self.plan.model} returned {video.num_frames} frames of "
                f"{video.width}x{video.height}, expected {case.frames} of {case.width}x{case.height}"
            )
        self.video = video
        return video, seconds

    def frames_of(self, meta: dict[str, Any]) -> Video:
        """Return the clip that `meta` describes: from memory, from its file, or generated again.

        Raises:
            UserError: generated again, it is another clip.
        """
        self.video = self.video or self.slot.load_video(meta["sha256"])
        if self.video is None:
            found = video_sha256(self.make()[0])
            if found != meta["sha256"]:
                self.video = None
                raise UserError(
                    f"case {self.sample.case.id}: generated again, the video hashes to {found[:12]} instead of "
                    f"{meta['sha256'][:12]}: {self.plan.model} does not repeat itself on this machine; "
                    f"delete {self.slot.folder} to start this case over"
                )
        assert self.video is not None
        return self.video


def process(plan: Plan, sample: Sample) -> Outcome:
    """Bring one sample up to date; an error becomes a failure row and stops no other sample.

    Raises:
        MissingAsset: weights or a dependency are absent, which no other sample would survive either.
        UserError: the disk is full.
    """
    slot, case = plan.slot(sample), sample.case
    computed: list[str] = []
    try:
        work = Work(plan, sample, slot, plan.video_key(sample), computed)
        _run(work)
    except MissingAsset:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise UserError(
                f"the disk of {plan.options.results} is full; everything finished so far is kept: "
                "free some space and run the same command again"
            ) from error
        line = error_line(error)
        slot.save_failure(plan.facts(sample), line, traceback.format_exc())
        code = error.exit_code if isinstance(error, UserError) else 1
        return Outcome(sample.id, case.frames, tuple(computed), True, line, code, is_broken(error))
    slot.clear_failure()
    return Outcome(sample.id, case.frames, tuple(computed))


def _run(work: Work) -> None:
    stages, slot = work.plan.options.stages, work.slot
    meta = generate(work) if "generate" in stages else slot.video_meta(work.key)
    if meta is None:
        raise UserError(
            f"case {work.sample.case.id}: there is no video yet; add generate to stages: "
            "'stages=[generate,track,score]'"
        )
    try:
        tracks = track(work, meta) if "track" in stages else None
        if "score" in stages:
            score(work, meta, tracks)
    except Exception:
        if work.video is not None and not slot.has(VIDEO):
            # the next attempt need not generate again
            slot.save_video_meta({**meta, "lossless_sha256": slot.save_lossless(work.video)})
        raise
    if "score" in stages:
        slot.trim(work.plan.options.keep)


def generate(work: Work) -> dict[str, Any]:
    """Make the clip and the files that are to be kept of it, as far as they are absent; returns `video.json`."""
    slot, keep, stages = work.slot, work.plan.options.keep, work.plan.options.stages
    meta = slot.video_meta(work.key)
    if meta is not None and all(map(slot.has, KEPT[keep])):
        return meta
    if meta is None:
        video, seconds = work.make()
        new = {**_described(work, video, seconds), "preview": None, "lossless_sha256": None}
    else:
        video, seconds = work.frames_of(meta), float(meta["seconds"])
        new = dict(meta)
    if keep != "none" and not slot.has(PREVIEW):
        new["preview"] = slot.save_preview(video)
    one_go = "track" in stages and "score" in stages
    wanted = keep == "lossless" or not one_go or seconds > STORE_BEFORE_TRACKING_S
    # without metadata, a file that lies there is of an attempt that was cut off
    if wanted and (meta is None or not slot.has(VIDEO)):
        new["lossless_sha256"] = slot.save_lossless(video)
    if new != meta:
        slot.save_video_meta(new)
    work.computed.append("generate")
    return new


def _described(work: Work, video: Video, seconds: float) -> dict[str, Any]:
    """Return what `video.json` says of a new clip; how the length was reached are names of `Video.info`."""
    info, prompt = dict(video.info), work.sample.case.prompt
    counts = {
        "sha256": video_sha256(video),
        "frames": video.num_frames,
        "generated": info.get("generated", video.num_frames),
        "length_mode": info.get("length_mode", "exact"),
        "reading": "; ".join(info.get("reading", ())),
    }
    return {
        "key": work.key,
        **counts,
        "height": video.height,
        "width": video.width,
        "fps": float(video.fps),
        "seed": work.sample.seed,
        "prompt": prompt,
        "prompt_sent": info.get("prompt", prompt),
        "seconds": round(seconds, 4),
        "info": info,
        "facts": work.plan.facts(work.sample, counts),
    }


def track(work: Work, meta: dict[str, Any]) -> Tracks:
    """Return the tracks of the clip, stored or followed now."""
    plan, case = work.plan, work.sample.case
    key = _tracks_key(plan, work.sample, meta)
    stored = work.slot.load_tracks(key)
    if stored is not None:
        return stored
    video = work.frames_of(meta)
    start = time.perf_counter()
    tracks = follow(plan.tracker, case, video)
    work.slot.save_tracks(case, tracks, key, meta["sha256"], round(time.perf_counter() - start, 4))
    work.computed.append("track")
    return tracks


def score(work: Work, meta: dict[str, Any], tracks: Tracks | None) -> None:
    """Compute and store the metrics that are absent; tracks are read where they were not followed now.

    Raises:
        UserError: there are none.
    """
    plan, sample, slot = work.plan, work.sample, work.slot
    key = _tracks_key(plan, sample, meta)
    tracks = tracks or slot.load_tracks(key)
    if tracks is None:
        raise UserError(f"case {sample.case.id}: there are no tracks yet; add track: 'stages=[track,score]'")
    missing = _missing_metrics(plan, sample, slot, key, meta["sha256"])
    if not missing:
        return
    start = time.perf_counter()
    case = share_reference(sample.case)
    fresh: dict[str, tuple[str, Score]] = {}
    for name, metric_key in missing.items():
        metric = plan.metrics[name]
        video = work.frames_of(meta) if metric.needs_video else work.video
        fresh[name] = (metric_key, metric.score(case, tracks, video))
    seconds = round(time.perf_counter() - start, 4)
    slot.save_scores(fresh, plan.facts(sample, meta), seconds)
    work.computed.append("score")


def _tracks_key(plan: Plan, sample: Sample, meta: dict[str, Any]) -> str:
    """Return the key of a clip's tracks; the case gives the start points."""
    return digest("tracks", meta["sha256"], plan.fingerprints["tracker"], sample.case.content_hash)


def _missing_metrics(plan: Plan, sample: Sample, slot: Slot, tracks: str, video: str) -> dict[str, str]:
    """Return the metrics, with their keys, whose stored value is absent or another's; `tracks` is the tracks' key."""
    stored = slot.scores()
    keys = {
        name: digest("score", tracks, video, fingerprint, sample.case.content_hash)
        for name, fingerprint in plan.fingerprints["metrics"].items()
    }
    return {name: key for name, key in keys.items() if stored.get(name, {}).get("key") != key}


def is_current(plan: Plan, sample: Sample) -> bool:
    """Return True if every asked-for stage of a sample is already on disk."""
    slot, stages = plan.slot(sample), plan.options.stages
    meta = slot.video_meta(plan.video_key(sample))
    if slot.failure() is not None or meta is None:
        return False
    if "generate" in stages and not all(map(slot.has, KEPT[plan.options.keep])):
        return False
    if "track" not in stages and "score" not in stages:
        return True
    key = _tracks_key(plan, sample, meta)
    return (slot.tracks_meta() or {}).get("key") == key and (
        "score" not in stages or not _missing_metrics(plan, sample, slot, key, meta["sha256"])
    )


def open_samples(plan: Plan) -> list[Sample]:
    """Return the asked-for samples for which something is still to be done."""
    return [sample for sample in plan.samples if not is_current(plan, sample)]


def without_video(plan: Plan, samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that are still to be generated; a video that was made once and not kept counts as made."""
    if "generate" not in plan.options.stages:
        return []
    return [s for s in samples if plan.slot(s).video_meta(plan.video_key(s)) is None]


def is_broken(error: BaseException) -> bool:
    """Return True for an error after which this process cannot be trusted: no memory, or one of CUDA, which stay.

    A UserError that quotes one tells of another process, e.g. of a model's own environment.
    """
    torch = sys.modules.get("torch")
    no_memory = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    told = not isinstance(error, UserError) and "CUDA error" in str(error)
    return isinstance(error, no_memory) or told


def error_line(error: BaseException) -> str:
    """Return an error as one line; the user's errors without the name of their class."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
