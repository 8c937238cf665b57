"""The three stages of one sample: generate, track, score; each one is skipped when its key matches what is on disk."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from toraeval.run.outcome import Outcome, error_line, is_broken
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.run.work import Stopped, Work
from toraeval.store.disk import full
from toraeval.store.keys import digest
from toraeval.store.slot import KEPT, PREVIEW, VIDEO, Slot
from toraeval.trackers.shared.base import follow
from toraeval.types import MissingAsset, Score, Tracks, UserError, Video
from toraeval.video import video_sha256

# A clip that took longer than this is on disk before tracking starts, so that a crash does not cost it.
STORE_BEFORE_TRACKING_S = 20.0


def process(plan: Plan, sample: Sample) -> Outcome:
    """Bring one sample up to date; an error becomes a failure row and stops no other sample.

    Raises:
        MissingAsset: weights or a dependency are absent, which no other sample would survive either.
        UserError: the disk is full.
    """
    work = Work(plan, sample)
    for step in (make, encode, measure):
        work.do(step)
    return settle(work)


def settle(work: Work) -> Outcome:
    """Return what became of a sample on which the work has ended; a failure is stored.

    Raises:
        MissingAsset, UserError: as of `process`.
    """
    plan, sample, error = work.plan, work.sample, work.error
    done = Outcome(
        sample.id, sample.case.frames, tuple(work.computed), busy_s=work.busy_s,
        span=(work.begun, time.perf_counter()), process=os.getpid(),
    )  # fmt: skip
    if error is None:
        work.slot.clear_failure()
        return done
    if isinstance(error, MissingAsset) or not isinstance(error, Exception):
        raise error
    if reason := full(error):
        raise UserError(
            f"the disk of {plan.options.results} {reason}; everything finished so far is kept: "
            "make room and run the same command again"
        ) from error
    line = error_line(error)
    work.slot.save_failure(plan.facts(sample), line, "".join(traceback.format_exception(error)))
    return replace(done, failed=True, error=line, broken=is_broken(error))


def make(work: Work) -> None:
    """Make the clip, if it is asked for and was never made."""
    if "generate" in work.plan.options.stages and work.slot.video_meta(work.key) is None:
        _, work.made_s = work.make()


def encode(work: Work) -> None:
    """Write the files of the clip and its `video.json`, as far as they are asked for and absent.

    Raises:
        UserError: there is no clip, and none is asked for.
    """
    with work.busy("encode"):
        asked = "generate" in work.plan.options.stages
        work.meta = generate(work) if asked else work.slot.video_meta(work.key)
    if work.meta is None:
        raise UserError(
            f"case {work.sample.case.id}: there is no video yet; add generate to stages: "
            "'stages=[generate,track,score]'"
        )


def measure(work: Work) -> None:
    """Track and score the clip.

    Raises:
        UserError: there are no tracks, and none are asked for.
        Stopped: the command is to end; the clip is kept.
    """
    stages, slot, meta = work.plan.options.stages, work.slot, work.meta
    assert meta is not None
    try:
        tracks = None
        if "track" in stages:
            if work.is_stopped():
                raise Stopped
            with work.busy("track"):
                tracks = track(work, meta)
        if "score" in stages:
            if work.is_stopped():
                raise Stopped
            with work.busy("score"):
                score(work, meta, tracks)
    except Exception:
        if work.video is not None and not slot.has(VIDEO):
            # the next attempt need not generate again
            slot.save_video_meta({**meta, "lossless_sha256": slot.save_lossless(work.video)})
        raise
    if "score" in stages:
        slot.trim(work.plan.options.keep)


def generate(work: Work) -> dict[str, Any]:
    """Keep the clip that was made, or what is absent of an earlier one's files; returns `video.json`."""
    slot, keep, stages = work.slot, work.plan.options.keep, work.plan.options.stages
    meta = slot.video_meta(work.key) if work.made_s is None else None
    if meta is not None and all(map(slot.has, KEPT[keep])):
        return meta
    if meta is None:
        video, seconds = work.video, work.made_s
        assert video is not None
        assert seconds is not None
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
    key = tracks_key(plan, work.sample, meta)
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
    key = tracks_key(plan, sample, meta)
    tracks = tracks or slot.load_tracks(key)
    if tracks is None:
        raise UserError(f"case {sample.case.id}: there are no tracks yet; add track: 'stages=[track,score]'")
    missing = missing_metrics(plan, sample, slot, key, meta["sha256"])
    if not missing:
        return
    start = time.perf_counter()
    fresh: dict[str, tuple[str, Score]] = {}
    for name, metric_key in missing.items():
        metric = plan.metrics[name]
        video = work.frames_of(meta) if metric.needs_video else work.video
        fresh[name] = (metric_key, metric.score(work.case, tracks, video))
    seconds = round(time.perf_counter() - start, 4)
    slot.save_scores(fresh, plan.facts(sample, meta), seconds)
    work.computed.append("score")


def tracks_key(plan: Plan, sample: Sample, meta: dict[str, Any]) -> str:
    """Return the key of a clip's tracks; the case gives the start points."""
    return digest("tracks", meta["sha256"], plan.fingerprints["tracker"], sample.case.content_hash)


def missing_metrics(plan: Plan, sample: Sample, slot: Slot, tracks: str, video: str) -> dict[str, str]:
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
    key = tracks_key(plan, sample, meta)
    return (slot.tracks_meta() or {}).get("key") == key and (
        "score" not in stages or not missing_metrics(plan, sample, slot, key, meta["sha256"])
    )


def open_samples(plan: Plan) -> list[Sample]:
    """Return the asked-for samples for which something is still to be done."""
    return [sample for sample in plan.samples if not is_current(plan, sample)]


def without_video(plan: Plan, samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that are still to be generated; a video that was made once and not kept counts as made."""
    if "generate" not in plan.options.stages:
        return []
    return [s for s in samples if plan.slot(s).video_meta(plan.video_key(s)) is None]
